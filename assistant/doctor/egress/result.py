"""What a proof found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["proven", "packets left", "not proven"]


@dataclass(frozen=True)
class Packet:
    """One that left, or a name that was asked for."""

    to: str
    """`udp 192.0.2.53:53 (asks for example.org)`."""


@dataclass(frozen=True)
class Work:
    """One thing that the service did meanwhile; `trouble` says why it could not."""

    what: str
    trouble: str | None = None


@dataclass(frozen=True)
class Proof:
    """The counts. `control` is how many deliberate packets were counted before and after the work, of how many kinds."""

    elapsed_s: float
    packets: tuple[Packet, ...]
    control: tuple[int, int]
    control_missing: tuple[str, ...]
    """Kinds of deliberate packets that nobody counted: with one of them nothing is proven."""
    unseen_packets: int
    """What the kernel sent and the counter did not see."""
    kernel_packets: int
    """The kernel's own of IPv6 (neighbours, routers, groups), which no program asks for."""
    work: tuple[Work, ...]

    @property
    def verdict(self) -> Verdict:
        """Packets that left are a finding even where something else failed."""
        if self.packets or self.unseen_packets:
            return "packets left"
        failed = self.control_missing or not self.work or any(work.trouble for work in self.work)
        return "not proven" if failed else "proven"

    def to_json(self) -> dict[str, Any]:
        """Everything, as `json` takes it."""
        return {
            "verdict": self.verdict,
            "elapsed_s": round(self.elapsed_s, 2),
            "packets": [packet.to for packet in self.packets],
            "control_packets": {"before": self.control[0], "after": self.control[1]},
            "control_missing": list(self.control_missing),
            "unseen_packets": self.unseen_packets,
            "kernel_packets": self.kernel_packets,
            "work": [asdict(work) for work in self.work],
        }
