"""What people read in their own language: alerts, the page, the report. English is in the code itself.

French lies beside it, in `fr/*.po`, a file for each place that speaks: translators' tools read and write
them. Sentences are collected from calls of `text`, `many` and `marked`. Logs, errors and the command line
stay English, so that they can be searched for.
"""

from nightscan_tasks.language.speaking import LANGUAGES, Language, language, marked

__all__ = ["LANGUAGES", "Language", "language", "marked"]
