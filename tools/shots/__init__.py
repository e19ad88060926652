"""What the pictures in docs/images show: a file a page, each a function that is given a studio."""
