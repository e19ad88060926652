"""`nightscan serve`."""

from __future__ import annotations

import json

import click

from nightscan_tasks.cli.session import Session, json_command


@json_command(name="serve", short_help="the page, the figures and the report over HTTP", examples=(
    "nightscan serve",
    "nightscan serve --port 8080",
    "nightscan serve --host 0.0.0.0",
))
@click.option("--host", metavar="ADDRESS", help="Where to listen, instead of NIGHTSCAN_SERVE_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT",
              help="On which port, instead of NIGHTSCAN_SERVE_PORT; 0: any that is free.")
def command(session: Session, *, host: str | None, port: int | None) -> None:
    """Answer with a page of everything at a glance, until it is ended.

    Beyond loopback only with NIGHTSCAN_SERVE_PASSWORD, which is asked for with any name. /status.json,
    /metrics and /report have the same for programs and for people; docs/PAGE.md tells more.
    """
    from nightscan_tasks.cli.broker import application  # late: help and completion need none of it
    from nightscan_tasks.language import language
    from nightscan_tasks.report.listening import plan_listening
    from nightscan_tasks.report.serving import serve
    from nightscan_tasks.tasks.glancing import glance

    system = session.system
    settings = system.settings
    listening = plan_listening(settings, host=host, port=port)
    app = application()
    serve(system, lambda: glance(system, app), language(settings.language, settings.zone), listening,
          told=lambda url: click.echo(json.dumps({"url": url}) if session.as_json else url))
