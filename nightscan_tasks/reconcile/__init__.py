"""Rows against files against all sets: what is missing, what nobody names, and what to do about it."""
