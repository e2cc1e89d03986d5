"""The folder of a smaller model, with what it is worth beside the whole one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ratecast.assessment import MODEL_NAME
from ratecast.baseline import Baseline
from ratecast.combine.stack import Stack
from ratecast.compress.candidates import Candidate
from ratecast.compress.division import Division
from ratecast.compress.findings import Findings
from ratecast.compress.judging import judge_beside_teacher
from ratecast.compress.teacher import Teacher
from ratecast.compress.timing import Timed, timed
from ratecast.evaluate.contest import TEACHER
from ratecast.folder import PACKAGES, READ, write_documents
from ratecast.job import Job
from ratecast.model.store import Component, Manifest, create_component, new_folder, package_versions, write_json, write_manifest
from ratecast.predict import Predictor
from ratecast.records import Reviews
from ratecast.verdict import Verdict, trust_notes

FRONTIER_FILE: Final = "frontier.json"
_TIMED: Final = 300
"""Reviews that the two models are timed on in the end."""


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """All that a smaller model is written from.

    Attributes:
        job: settings, reviews and places.
        teacher: the whole model.
        division: the reviews without a rating.
        findings: what was tried, with the point that was chosen.
        stack: what stands after its members.
        candidates: networks by name.
        baselines: linear models by name.
        judged: the reviews that it is judged on.
    """

    job: Job
    teacher: Teacher
    division: Division
    findings: Findings
    stack: Stack
    candidates: Mapping[str, Candidate]
    baselines: Mapping[str, Baseline]
    judged: Reviews

    def write(self) -> None:
        """Write the model folder, and judge it before it takes its place."""
        job = self.job
        job.reporter.tell("writing the model folder")
        with new_folder(job.folder) as new:
            components = [*self.stack.save(new), *self._members(new)]
            components += self.teacher.with_learned(new, job.parts, self.division.unlabelled)
            manifest = Manifest(
                scale=job.scale,
                components=tuple(components),
                chain=self.stack.chain,
                baselines=tuple(self._kept()),
                about=self._about(),
                columns={role: name for role, name in job.report.columns.roles().items() if role in READ},
            )
            write_manifest(new, manifest)
            write_json(new / FRONTIER_FILE, self.findings.to_json())
            small = Predictor(new, manifest, job.config.threads)
            verdict = self._judge(small)
            notes = self._notes(small, verdict)
            write_documents(new, manifest, job, None, verdict=verdict, notes=notes)

    def _members(self, new: Path) -> list[Component]:
        """Write networks and linear models; of two networks the first one's files have names of their own."""
        networks = [name for name in self.stack.answer.members if name in self.candidates]
        last = next((name for name in reversed(networks) if self.candidates[name].is_network), None)
        found = [self.candidates[name].write(new, prefix="" if name == last else f"{name}.") for name in networks]
        return found + [
            create_component(new, name, made.kind, made.model.save(new, name)) for name, made in self._kept().items()
        ]

    def _kept(self) -> dict[str, Baseline]:
        """Members that are linear, and the constant to compare with."""
        members = self.stack.answer.members
        return {name: made for name, made in self.baselines.items() if made.kind == "constant" or name in members}

    def _about(self) -> dict[str, Any]:
        job, teacher = self.job, self.teacher
        return {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": job.report.source,
            "reviews": ", ".join(f"{len(part)} {name}" for name, part in job.parts.items()),
            "compressed_from": str(teacher.folder),
            "teacher_sha256": teacher.sha256,
            "limits": " and ".join(self.findings.limits.describe()),
            "optimise": job.config.answer.optimise,
            "seed": job.config.seed,
            "fingerprint": job.fingerprint,
            "versions": package_versions(*PACKAGES),
        }

    def _judge(self, small: Predictor) -> Verdict:
        parts = {part.name: part.probabilities for part in self.findings.parts}
        return judge_beside_teacher(
            small,
            self.teacher,
            self.job,
            reviews=self.judged,
            baselines=self.baselines,
            stack=self.stack,
            validation={name: parts[name] for name in self.stack.answer.members},
            seconds=self.job.clock.spent(),
        )

    def _notes(self, small: Predictor, verdict: Verdict) -> list[str]:
        texts = self.judged.joined()[:_TIMED]
        quick, slow = timed(small.probabilities, texts), timed(self.teacher.predictor.probabilities, texts)
        cost = (
            f"On this machine: {_speed(quick)}, {_megabytes(small.folder):,.1f} MB; the whole model {_speed(slow)}, "
            f"{_megabytes(self.teacher.folder):,.1f} MB."
        )
        found = [*self.job.notes, f"The model is {self.stack.answer.describe()}.", cost]
        found += [] if (loss := self._loss(verdict)) is None else [loss]
        found.append(
            f"It was chosen among {len(self.findings.points):,} combinations on {self.findings.reviews:,} validation reviews: "
            "frontier.html shows them. That choice flatters what it says of those reviews a little."
        )
        return [*found, *trust_notes(verdict, self.stack)]

    def _loss(self, verdict: Verdict) -> str | None:
        """What compressing cost on test reviews; None without these."""
        rmse = {entry.name: entry.metrics.rmse for entry in verdict.assessment.contest.entries}
        if TEACHER not in rmse:
            return None
        small, whole = rmse[MODEL_NAME], rmse[TEACHER]
        loss = small / whole - 1
        told = f"On the test reviews it has an RMSE of {small:.3f}, the whole model {whole:.3f}: {100 * loss:+.1f} %."
        asked = self.findings.limits.max_loss
        return told if asked is None or loss <= asked else f"{told} That is more than the {100 * asked:g} % asked for."


def _speed(found: Timed) -> str:
    return f"{1000 / found.batch_ms:,.0f} reviews a second, {found.single_ms:.3g} ms for a single one"


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
