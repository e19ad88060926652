"""Many sites, simulated.

.venv/bin/python -m tools.many_sites                       prints the page
.venv/bin/python -m tools.many_sites --sites 300 --uplink 100e6     of another fleet; lines in bits a second
.venv/bin/python -m tools.many_sites --write               puts it into docs/MANY_SITES.md
.venv/bin/python -m tools.many_sites --measure             counts requests anew, at an S3 server of its own
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

from tools.many_sites.document import document
from tools.many_sites.fleet import Fleet
from tools.many_sites.requests import FIGURES, Steps

PAGE = Path(__file__).parents[2] / "docs" / "MANY_SITES.md"
_LINES = ("uplink", "downlink", "shared")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m tools.many_sites",
                                     description="A fleet of sites, simulated.")
    parser.add_argument("--write", action="store_true", help=f"put the page into {PAGE.name}")
    parser.add_argument("--measure", action="store_true", help="count requests anew")
    for each in fields(Fleet):
        if each.name != "outside":
            parser.add_argument(f"--{each.name.replace('_', '-')}", type=type(each.default), metavar="N",
                                default=each.default, help="in bits a second" if each.name in _LINES else "")
    given = vars(parser.parse_args())
    if given.pop("measure"):
        measure()
    page, write = given, given.pop("write")
    for name in _LINES:
        if page[name] != getattr(Fleet, name):
            page[name] /= 8
    text = document(Fleet(**page), Steps.load())
    if write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def measure() -> None:
    """Take sets of a small site, in a world of its own, and write down what was asked."""
    from nightscan_tasks.world.s3 import make_bucket
    from nightscan_tasks.world.world import World
    from tools.many_sites.measuring import measure_site

    with tempfile.TemporaryDirectory(prefix="many-sites-") as folder:
        world = World.up(Path(folder, "w"), services=("s3",), celery=False)
        try:
            environ = {name: value for name, value in world.environ().items() if name.startswith("AWS_")}
            make_bucket(world.s3_client(), "many-sites")
            with patch.dict(os.environ, environ | {"AWS_EC2_METADATA_DISABLED": "true"}):
                environ = {"AWS_ENDPOINT_URL": environ["AWS_ENDPOINT_URL"]}
                found = measure_site(Path(folder), environ, "s3://many-sites/site")
        finally:
            World.down(Path(folder, "w"))
    FIGURES.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
