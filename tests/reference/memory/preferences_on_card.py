"""The preference cases that ran on a card, and how long the rows were that it saw: it is told by the logits that it made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.core.memory.recordings import DATA, recorded

CASTS = "operations._convert_to_fp32"
"""Who asked for the policy's and the reference's logits in fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One case, with ``rows`` as they ran: neither DPO nor KTO ended an answer of the data that was given."""

    case: dict[str, Any]
    card_bytes: int
    """The peak without cuBLAS's workspaces."""

    def __str__(self) -> str:
        """The case's name."""
        return str(self.case["case"])

    @property
    def answer_tokens(self) -> int:
        """Tokens of each row behind its prompt, which was half of what the case says."""
        return int(self.case["rows"][1]) - int(self.case["asked_tokens"]) // 2


def ran() -> list[Ran]:
    """Every recorded preference case that a card has run."""
    cases = {case["case"]: case for case in recorded("switches.jsonl") if case["config"].get("rl")}
    found = []
    for line in (DATA / "gpu" / "h100.jsonl").read_text("utf-8").splitlines():
        reading = json.loads(line)
        case = cases.get(reading["case"])
        if case is None:
            continue
        pairs = 1 if case["config"]["rl"] == "kto" else 2
        made, count, _ = next(row for row in reading["made_at_peak"] if str(row[2]).startswith(CASTS))
        batch, asked = case["rows"]
        tokens = made // count // (4 * case["model"]["vocab_size"] * batch * pairs)
        found.append(
            Ran(
                case=case | {"rows": [batch, tokens], "asked_tokens": asked},
                card_bytes=reading["allocated_peak_bytes"] - reading["cublas_workspace_bytes"],
            )
        )
    return found
