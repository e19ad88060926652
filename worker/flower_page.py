"""What Flower's list of tasks needs to show runs: columns, and fresh rows while one looks.

Flower has no setting for either. Its table of columns may be added to; its page is given a few lines of
script, which ask for the rows again as a click on a column's head does, and of style: a line a task.
"""

from __future__ import annotations

from flower import events, urls
from flower.views import tasks
from tornado.routing import URLSpec

from worker.flower_task import RunTask

COLUMNS = "run,step,state,progress,started,runtime,uuid,worker"
_HEADS = {"run": "Run", "step": "Step", "progress": "Progress"}
_FRESH = b"""<style>
#tasks-table td { white-space: nowrap }
#tasks-table .task-uuid-full { display: none }
#tasks-table .task-uuid-short { display: inline }
</style>
<script>
setInterval(function () {
    if (!document.hidden && !window.getSelection().toString()) {
        $('#tasks-table').DataTable().ajax.reload(null, false);
    }
}, 2000);
</script></body>"""


class FreshTasksView(tasks.TasksView):  # type: ignore[misc]  # Flower has no types
    """Flower's list of tasks, which is never more than two seconds old."""

    def render_string(self, template_name: str, **values: object) -> bytes:
        """The page, with the script at its end."""
        page: bytes = super().render_string(template_name, **values)
        return page.replace(b"</body>", _FRESH)


def show_runs() -> None:
    """Let this process's Flower show runs. Before it is built."""
    events.EventsState.Task = RunTask
    tasks.TASK_COLUMNS.update(_HEADS)
    urls.handlers[:] = [
        URLSpec(each.regex.pattern, FreshTasksView, name=each.name)
        if isinstance(each, URLSpec) and each.handler_class is tasks.TasksView else each
        for each in urls.handlers]
