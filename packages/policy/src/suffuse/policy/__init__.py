"""Diffusion policies for robots: train on demonstrations, evaluate in simulation, run at control rate on a CPU.

```python
from suffuse import policy

demonstrations = policy.read_demonstrations("pusht_cchi_v7_replay.zarr")
model = policy.load_policy("my-model")
model.reset(seed=0)
action = model.select_action(observation)
```
"""

from suffuse.policy.api import evaluate, load_actor, run
from suffuse.policy.data import Demonstrations, examine, read_demonstrations, write_demonstrations
from suffuse.policy.environments import Evaluation, Outcome, PolicyActor, RandomActor, Task, task_by_name
from suffuse.policy.errors import ActionError, DataError, ModelError, ObservationError, PolicyError, TaskError
from suffuse.policy.experts import PlannerActor
from suffuse.policy.experts.demonstrate import demonstrate
from suffuse.policy.model import ActionChunk, DiffusionPolicy, Recipe, load_policy, recipe_by_name, train_policy

__all__ = [
    "ActionChunk",
    "ActionError",
    "DataError",
    "Demonstrations",
    "DiffusionPolicy",
    "Evaluation",
    "ModelError",
    "ObservationError",
    "Outcome",
    "PlannerActor",
    "PolicyActor",
    "PolicyError",
    "RandomActor",
    "Recipe",
    "Task",
    "TaskError",
    "demonstrate",
    "evaluate",
    "examine",
    "load_actor",
    "load_policy",
    "read_demonstrations",
    "recipe_by_name",
    "run",
    "task_by_name",
    "train_policy",
    "write_demonstrations",
]
