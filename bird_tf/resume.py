"""Which work a directory belongs to: the same plan goes on, another plan is refused and the difference is named.

Conversion, training, prediction and cross-validation claim their directories here. What else they keep in them, to
go on from, is theirs to know.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config, files, locks, stored, temporaries

PLAN = "plan.json"
_MOST_NAMED = 3
_LONGEST_SHOWN, _LONGEST_CHANGE = 100, 300  # characters of a value and of a change in a message

# {section: {name: value}}, with values as in JSON. Sections: "flags", "versions", "models", whose values are digests,
# and "inputs" and "files", whose values are {aspect: value} so that the aspect that differs can be named.
Plan = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """The sections of a plan on disk, as `Plan`."""

    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    models: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


class _Anything:
    """A value of a plan that equals every other one."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANYTHING = _Anything()


def differences(old: Plan, new: Plan) -> list[str]:
    """Says in words what differs between two plans, in the sections that the new one has.

    Of the versions, those in the new plan count: a library that it does not name no longer decides the results.
    Of the models, those in both: plans of earlier versions have none, and finished work outlives its models. Which ones
    they are, the flags say. Files are inputs that earlier versions did not note one by one.
    """
    changes = []
    for section, wording in (("flags", "--{} was {}, is {}"), ("versions", "version of {} was {}, is {}")):
        before, now = old.get(section, {}), new.get(section, {})
        names = now if section == "versions" else {*before, *now} if section in new else ()
        for name in sorted(names):
            if before.get(name) != now.get(name):
                changes.append(wording.format(name, _shown(before.get(name)), _shown(now.get(name))))
    for section in ("inputs", "files"):
        before, now = old.get(section, {}), new.get(section, {})
        if section in new and (before or section == "inputs"):
            changes += _other_inputs(before, now)
    before, now = old.get("models", {}), new.get("models", {})
    changes += [f"{name} is another model now" for name in now if before.get(name, now[name]) != now[name]]
    return changes


def _other_inputs(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What differs between inputs, in words. Aspects that earlier versions did not note are not compared."""
    changes = [f"{name} is new" for name in now if name not in before]
    changes += [f"{name} is gone" for name in before if name not in now]
    for name in (name for name in now if name in before):
        both = now[name].keys() & before[name].keys()
        differing = [aspect for aspect in now[name] if aspect in both and before[name][aspect] != now[name][aspect]]
        if differing or not both:
            changes.append(f"{name} has another {(differing or ['description'])[0]}")
    return changes


def of_file(path: str) -> dict[str, int]:
    """What a plan holds of a recording, to tell whether it is the same: those of a recorder often have one size."""
    size, change = files.size_and_change(path) or (-1, -1)
    return {"size": size, "time of change": change}


def lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder itself, or below it."""
    inner, outer = (os.path.normpath(p) if files.is_remote(p) else os.path.realpath(p) for p in (path, folder))
    return f"{inner}/".startswith(f"{outer}/")


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)[:_LONGEST_SHOWN]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A directory, and the plan of the work that is to be done in it.

    Attributes:
        directory: the directory.
        plan: all that decides the result.
        work: what the work is called in messages, as "conversion".
        flag: the flag that names the directory.
        notes: the folder in the directory that keeps the plan; empty: the directory itself.
        overwrite: whether other work there may be replaced; None if the command has no such flag. What is no such work
            is never replaced.
        reads: folders that the work reads; "" is none. None may lie in the directory, which would be emptied for it.
        earlier: a file by which work of versions without plans is known; empty: there is none.
        outdated: plans of the same command, from which something has changed since that the user did not ask for: work
            of theirs is told of, and replaced. A value can be ANYTHING.
        own: names in the directory that the work, or what follows it, writes; as patterns. Where something else lies,
            nothing is overwritten: it may be what a person has made.
        flags_of: the class that declares the flags of the plan. One that a plan of an earlier version lacks had its
            declared default there.
    """

    directory: str
    plan: Plan
    work: str
    flag: str
    notes: str = ""
    overwrite: bool | None = None
    reads: Sequence[str] = ()
    earlier: str = ""
    outdated: Mapping[str, Plan] = dataclasses.field(default_factory=dict)  # {what has changed: plan}
    own: Sequence[str] = ("*",)
    flags_of: type | None = None

    def __post_init__(self) -> None:
        """Refuses, before anything is emptied, numbers that no plan can hold.

        Raises:
            InputError: a flag is infinite.
        """
        for name, value in self.plan.get("flags", {}).items():
            numbers = [n for n in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(n, float)]
            if any(map(math.isinf, numbers)):
                raise config.InputError(f"--{name}={','.join(map(str, numbers))}: must be a finite number")

    @property
    def _folder(self) -> str:
        return os.path.join(self.directory, self.notes) if self.notes else self.directory

    @property
    def _path(self) -> str:
        return os.path.join(self._folder, PLAN)

    @property
    def has_plan(self) -> bool:
        """Whether the directory has a plan, of whatever work."""
        return files.exists(self._path)

    def goes_on(self) -> bool:
        """Whether unfinished or finished work of this plan is there; False if new work may begin.

        Raises:
            InputError: work of another plan is there, or something else; or what the work reads lies there.
        """
        if own := [path for path in self.reads if path and lies_in(path, self.directory)]:
            raise config.InputError(
                f"{own[0]} lies in {self.directory}, which the {self.work} is written to; name another {self.flag}"
            )
        if not self.has_plan:
            names = [name for name in files.names(self._folder) if name != locks.NAME]
            # a process that is killed in `begin` leaves a temporary file
            known = self.overwrite and self.earlier in names
            if not known and not all(name.endswith(temporaries.SUFFIX) for name in names):
                raise config.InputError(
                    f"{self._folder} holds something that is no {self.work}; name another {self.flag}, or move it away"
                )
            if known:
                self._refuse_foreign()
            return False
        before = vars(stored.read_json(self._path, _Stored))
        before = {**before, "flags": self._with_newer(before["flags"])}
        changes = differences(before, self.plan)
        if why := [why for why, plan in self.outdated.items() if changes and not differences(before, plan)]:
            logging.warning("%s: %s, so what the %s has kept there is made anew", self._folder, why[0], self.work)
        elif changes and not self.overwrite:
            more = f" and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
            anew = "" if self.overwrite is None else ", or start anew with --overwrite"
            named = "; ".join(change[:_LONGEST_CHANGE] for change in changes[:_MOST_NAMED])
            raise config.InputError(
                f"{self._folder} holds a {self.work} that differs: {named}{more}; repeat it as it was, or name another "
                f"{self.flag}{anew}"
            )
        if self.overwrite:
            self._refuse_foreign()
        return not changes

    def _refuse_foreign(self) -> None:
        own = (PLAN, locks.NAME, f"*{temporaries.SUFFIX}", *self.own)
        names = sorted(files.names(self.directory))
        foreign = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in own)]
        if foreign:
            named = ", ".join(foreign[:_MOST_NAMED])
            raise config.InputError(
                f"{self.directory} holds {named}, which the {self.work} has not written, and --overwrite would remove; "
                f"move that away, or name another {self.flag}"
            )

    def _with_newer(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """The flags of a plan, with those that are newer than it. A plan without any is that of a beginning."""
        if not before or self.flags_of is None:
            return before
        declared = config.declared(self.flags_of)
        return {**{name: declared[name] for name in self.plan["flags"] if name in declared}, **before}

    def begin(self) -> None:
        """Writes the plan down. From now on the directory belongs to it."""
        files.write_json(self._path, self.plan)

    def start(self, goes_on: bool) -> None:
        """Begins, unless work of this plan goes on. With `overwrite` the directory is emptied, and work always begins.
        Outdated work is removed; its plan is the last to go, so that after a kill the same command is not refused.

        Args:
            goes_on: from `goes_on`.
        """
        if self.overwrite:
            files.write_json(self._path, {})  # first: with what a kill leaves, no work goes on, but it is still ours
        if self.overwrite or (self.has_plan and not goes_on):
            self._empty()
        if self.overwrite or not goes_on:
            self.begin()

    def _empty(self) -> None:
        """Removes all but the lock and the plan."""
        for name in files.names(self.directory):
            if name not in (locks.NAME, PLAN):
                files.remove(os.path.join(self.directory, name))

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other commands out of the directory while the block runs; see `locks.held`."""
        return locks.held(self.directory, work=self.work, flag=self.flag)
