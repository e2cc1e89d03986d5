"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.files import explained_write, replace_file
from ratecast.train.plan import Plan

CHECKPOINT_FILE: Final = "checkpoint.safetensors"


@dataclass(kw_only=True)
class TrainingState:
    """Where a run stands.

    Attributes:
        fingerprint: hash of the data and of the settings that decide the weights.
        steps: steps of the plan.
        allowed_seconds: time limit of the plan; None without one.
        plan: what else the plan says, as `Plan.to_json` gives it; None for a run without one.
        step: steps done.
        seconds: time spent, over all sessions of the run.
        best_score: lowest score of an evaluation so far.
        best_step: the step it was reached at.
        stale: evaluations since then.
        curve: the evaluations so far.
        best: copy of the trained weights at ``best_step``.
        average: moving average of the weights, where one is kept.
        memory: what else the learner goes on from, as `Learner.memory` has it.
    """

    fingerprint: str
    steps: int
    allowed_seconds: float | None = None
    plan: dict[str, Any] | None = None
    step: int = 0
    seconds: float = 0.0
    best_score: float = float("inf")
    best_step: int = 0
    stale: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)

    def keep_best(self, weights: Mapping[str, Tensor], score: float) -> None:
        """Take note of an evaluation, and of the trained weights if it is the best so far."""
        if score < self.best_score:
            self.best_score, self.best_step, self.stale = score, self.step, 0
            self.best = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        else:
            self.stale += 1

    def restore_best(self, weights: Mapping[str, Tensor]) -> None:
        """Put the best weights back into those of the network."""
        with torch.no_grad():
            for name, best in self.best.items():
                weights[name].copy_(best)


def save_checkpoint(
    folder: Path, state: TrainingState, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint; the older one stays whole until the new one is.

    Args:
        folder: the run's folder.
        state: where the run stands.
        weights: everything that training changes, by name, as `trained_weights` gives it.
        optimizer: the optimiser of these weights.

    Raises:
        OutputError: if the disk is full or the folder cannot be written.
    """
    tensors = {f"rater/{name}": weight for name, weight in weights.items()}
    tensors |= {f"best/{name}": weight for name, weight in state.best.items()}
    tensors |= {f"average/{name}": weight for name, weight in state.average.items()}
    tensors |= {f"memory/{name}": tensor for name, tensor in state.memory.items()}
    names = {id(weight): name for name, weight in weights.items()}
    for weight, moments in optimizer.state.items():
        tensors |= {f"optimizer/{names[id(weight)]}/{key}": torch.as_tensor(value) for key, value in moments.items()}
    tensors["random"] = torch.get_rng_state()
    device = _device(weights)
    if device.type == "cuda":
        tensors["random_cuda"] = torch.cuda.get_rng_state(device)
    facts = {key: value for key, value in vars(state).items() if key not in {"best", "average", "memory"}}
    save_tensors(folder / CHECKPOINT_FILE, tensors, facts)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts that JSON can hold into one file; an older one stays whole until the new one is.

    Raises:
        OutputError: if the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    with explained_write(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        try:
            save_file(contiguous, partial, metadata={"state": json.dumps(facts)})
        except SafetensorError as error:
            partial.unlink(missing_ok=True)
            raise OSError(*_errno_of(error)) from None
        replace_file(partial, path)


def load_plan(path: Path, fingerprint: str) -> Plan | None:
    """The plan that a checkpoint, or another file of `save_tensors`, holds; None if there is no such file.

    Raises:
        ConfigError: if the file belongs to other data or settings.
        ModelFolderError: if it is damaged.
    """
    found = load_tensors(path, fingerprint, with_tensors=False)
    return None if found is None or found[0]["plan"] is None else Plan.from_json(found[0]["plan"])


def load_checkpoint(
    folder: Path, fingerprint: str, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> TrainingState | None:
    """Put a run back to its last checkpoint; None if there is none. Arguments as for `save_checkpoint`.

    Raises:
        ConfigError: if the checkpoint belongs to other data or settings.
        ModelFolderError: if it is damaged.
    """
    found = load_tensors(folder / CHECKPOINT_FILE, fingerprint)
    if found is None:
        return None
    facts, tensors = found
    state = TrainingState(**facts)
    with torch.no_grad():
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            if part == "rater":
                weights[name].copy_(tensor)
            elif part == "best":
                state.best[name] = tensor
            elif part == "average":
                state.average[name] = tensor.to(weights[name].device)
            elif part == "memory":
                state.memory[name] = tensor
            elif part == "optimizer":
                weight_name, _, moment = name.rpartition("/")
                weight = weights[weight_name]
                optimizer.state[weight][moment] = tensor.to(weight.device)
    torch.set_rng_state(tensors["random"])
    device = _device(weights)
    if "random_cuda" in tensors and device.type == "cuda":  # it may be gone on with on a machine without a GPU
        torch.cuda.set_rng_state(tensors["random_cuda"], device)
    return state


def load_tensors(path: Path, fingerprint: str, *, with_tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The facts and tensors that `save_tensors` wrote, with the fingerprint among the facts; None if there is no such file.

    Raises:
        ConfigError: if the file belongs to other data or settings.
        ModelFolderError: if it is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["state"])
            names = list(file.keys()) if with_tensors else []
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelFolderError(f"the checkpoint {path} is damaged ({error}); delete it and run without --resume") from None
    if facts["fingerprint"] != fingerprint:
        raise ConfigError(
            f"the checkpoint {path} was made with other data or settings; use the same ones, or run without --resume"
        )
    return facts, tensors


def _device(weights: Mapping[str, Tensor]) -> torch.device:
    return next(iter(weights.values())).device


def _errno_of(error: SafetensorError) -> tuple[int, str]:
    """The number of the operating system's error that safetensors 0.8 gives only as text: ``... (os error 28)``."""
    _, _, number = str(error).rpartition("os error ")
    digits = number.rstrip(") }\"'")
    return (int(digits), os.strerror(int(digits))) if digits.isdigit() else (0, str(error))
