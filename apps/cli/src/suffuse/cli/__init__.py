"""The umbrella command of suffuse: `suffuse TASK VERB`."""

from suffuse.cli.command import main as main
from suffuse.cli.tasks import Task as Task
from suffuse.cli.tasks import installed_tasks as installed_tasks
