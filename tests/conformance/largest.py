"""Files as long as one may be, each of a kind that is hard on some part of the checker.

    python -m tests.conformance.largest

prints what each takes of the processor in milliseconds, slowest first: the check itself, ``POST /api/v1/check`` and the
page ``/check``.
"""

import logging
import random
import string
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from fastapi.testclient import TestClient

from app.application import create_app
from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.renamed import REMOVED, RENAMED
from app.core.axolotl.schema import Schema
from app.services.checking import check_text
from app.services.inputs import resolve_hardware
from app.services.reading import LONGEST, read
from app.settings import Settings

GPU = "rtx-4090"
HEAD = (
    "base_model: meta-llama/Llama-3.1-8B\nadapter: lora\nlearning_rate: 0.0002\nlora_r: 16\nlora_target_linear: true\n"
)
DATA = "datasets:\n  - path: a\n    type: alpaca\n"
WIRED = HEAD + DATA
NAMED = WIRED.replace("lora_target_linear: true\n", "")


def filled(head: str, line: str | Callable[[int], str], tail: str = "") -> str:
    """``head``, then as many lines, each by its number, as there is room for, in letters and in entries."""
    parts, left = [], LONGEST - len(head) - len(tail)
    for number in count():
        part = line if isinstance(line, str) else line(number)
        left -= len(part)
        if left < 0:
            break
        parts.append(part)

    def text(lines: int) -> str:
        return head + "".join(parts[:lines]) + tail

    most = bisect_left(range(1, len(parts) + 1), True, key=lambda lines: _refused(text(lines)))
    return text(most)


def _refused(text: str) -> bool:
    """Whether it has more entries than are read."""
    return any(finding.code == "yaml_many" for finding in read(text).findings)


def word(number: int, length: int = 9) -> str:
    """A word that is like no other and like no key."""
    return "".join(random.Random(number).choices(string.ascii_lowercase, k=length))


def near(names: tuple[str, ...], number: int) -> str:
    """A key with one letter doubled and a number behind it."""
    name = names[number % len(names)]
    at = number // len(names) % len(name)
    return f"{name[:at]}{name[at]}{name[at:]}{number}"


def files(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Every kind with its file."""
    for kinds in (of_datasets, of_keys, of_values, of_repetition, of_letters, of_lists):
        yield from kinds(catalog.axolotl)


def of_datasets(schema: Schema) -> Iterator[tuple[str, str]]:
    """Many datasets, or much in one."""
    dataset = tuple(sorted(schema.models["SFTDataset"]))
    yield (
        "datasets with one unknown key",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: alpaca\n    k{n}: v\n"),
    )
    yield (
        "datasets with long unknown keys",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: alpaca\n    {word(n, 30)}: v\n"),
    )
    yield (
        "datasets with misspelt keys",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: alpaca\n    {near(dataset, n)}: v\n"),
    )
    yield "datasets with the same unknown key", filled(HEAD + "datasets:\n", "  - path: a\n    typ: alpaca\n")
    yield "datasets of unknown keys alone", filled(HEAD + "datasets:\n", lambda n: f"  - {word(n, 6)}: 1\n")
    yield (
        "datasets of wrong kinds",
        filled(HEAD + "datasets:\n", "  - path: [1]\n    type: 3\n    shards: x\n"),
    )
    yield "datasets of keys that are no text", filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    {n}: 1\n")
    yield (
        "datasets of deprecated forms",
        filled(HEAD + "datasets:\n", "  - path: a\n    type: sharegpt\n    conversation: x\n"),
    )
    yield "one dataset of unknown keys", filled(HEAD + "datasets:\n  - path: a\n", lambda n: f"    {word(n, 6)}: 1\n")
    yield (
        "datasets in brackets",
        filled(HEAD + "datasets: [", lambda n: f"{{path: a, type: alpaca, {word(n, 5)}: v}}, ", "]\n"),
    )
    yield "datasets that are true", filled(HEAD + "datasets: [", "on, ", "]\n")
    yield (
        "preference datasets with unknown keys",
        filled(HEAD + "rl: dpo\ndatasets:\n", lambda n: f"  - path: a\n    type: chatml.intel\n    {word(n)}: v\n"),
    )
    yield (
        "test datasets with unknown keys",
        filled(WIRED + "test_datasets:\n", lambda n: f"  - path: a\n    type: alpaca\n    {word(n)}: v\n"),
    )


def of_keys(schema: Schema) -> Iterator[tuple[str, str]]:
    """Many keys that nothing knows."""
    keys = tuple(sorted(schema.keys))
    yield "unknown keys", filled(WIRED, lambda n: f"{word(n)}: 1\n")
    yield "unknown keys of a hundred letters", filled(WIRED, lambda n: f"{word(n, 100)}: 1\n")
    yield "short unknown keys", filled(WIRED, lambda n: f"k{n}: 1\n")
    yield "misspelt keys", filled(WIRED, lambda n: f"{near(keys, n)}: 1\n")
    yield "keys that are numbers", filled(WIRED, lambda n: f"{n}: 1\n")
    yield "keys that are lists", filled(WIRED, lambda n: f"? [{n}]\n: 1\n")
    yield "keys in upper case", filled(WIRED, lambda n: f"{keys[n % len(keys)].upper()}{n}: 1\n")


def of_values(schema: Schema) -> Iterator[tuple[str, str]]:
    """Every key that there is, with a value that will not do."""
    keys = tuple(sorted(schema.keys))
    kinds = {
        kind: tuple(k for k in keys if kind in schema.keys[k].accepts)
        for kind in ("number", "boolean", "integer", "text")
    }
    lists = tuple(k for k in keys if any(isinstance(kind, dict) and "list" in kind for kind in schema.keys[k].accepts))
    old = tuple(sorted((*RENAMED, *REMOVED)))

    def each(names: tuple[str, ...], value: str) -> str:
        return filled(HEAD, lambda n: f"{names[n]}: {value}\n" if n < len(names) else f"k{n}: 1\n")

    for value in ("true", "{a: 1}", "[a, b]", "what", "1e3", "None", "0,5", ""):
        yield f"every key {value or 'nothing'}", each(keys, value)
    yield "every key a word of a thousand letters", each(keys, "x" * 1000)
    yield "every key a list of a hundred", each(keys, f"[{'1, ' * 100}]")
    yield (
        "every key the same list of a hundred",
        WIRED + f"k: &a [{'1, ' * 100}]\n" + "".join(f"{k}: *a\n" for k in keys[:18]),
    )
    yield "numbers in text", each(kinds["number"] * 2, "2e-4")
    yield "switches as text", each(kinds["boolean"], "ture")
    yield "integers as fractions", each(kinds["integer"], "1.5")
    yield "texts as switches", each(kinds["text"], "no")
    yield "lists of wrong kinds", each(lists, "[{a: 1}, 2, true, [x]]")
    yield "old keys", each(old, "1")
    yield "old keys and comments", filled(WIRED, lambda n: f"{old[n]}: 1\n" + "#\n" * 100 if n < len(old) else "#\n")
    yield (
        "old keys, then datasets",
        filled(
            HEAD + "".join(f"{name}: true\n" for name in old) + "datasets:\n",
            lambda n: f"  - path: a\n    type: alpaca\n    {word(n)}: v\n",
        ),
    )


def of_repetition(_: Schema) -> Iterator[tuple[str, str]]:
    """Duplicates, aliases, depth."""
    yield "the same key again", filled(WIRED, "lora_r: 16\n")
    yield "the same unknown key again", filled(WIRED, "lora_rr: 16\n")
    yield "the same dataset key again", filled(HEAD + "datasets:\n  - path: a\n", "    path: a\n")
    yield "aliases", filled(HEAD + "datasets:\n  - &a {path: a, type: alpaca, kk: 1}\n", "  - *a\n")
    yield (
        "aliases of aliases",
        "a0: &a0 [x, x, x, x, x]\n" + filled("", lambda n: f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}, *a{n}]\n"),
    )
    yield (
        "aliases of many unknown keys",
        filled(
            HEAD + "datasets:\n  - &a {path: a, " + "".join(f"{word(n, 4)}: 1, " for n in range(900)) + "}\n",
            lambda n: "  - *a\n" if n < 20 else f"  - {word(n, 4)}: 1\n",
        ),
    )
    yield (
        "merged mappings",
        filled("x: &x {path: a, type: alpaca, kk: 1}\n" + HEAD + "datasets:\n", "  - <<: *x\n"),
    )
    yield "deep mappings", filled(WIRED, "a: " + "{b: " * 20 + "1" + "}" * 20 + "\n")
    yield "deep lists", filled(WIRED, lambda n: f"k{n}: " + "[" * 20 + "1" + "]" * 20 + "\n")
    yield "brackets without end", WIRED + "a: " + "[" * (LONGEST - len(WIRED) - 3)


def of_letters(_: Schema) -> Iterator[tuple[str, str]]:
    """What YAML itself makes much of."""
    yield "one long text", WIRED + "output_dir: " + "x" * (LONGEST - len(WIRED) - 13) + "\n"
    yield "one long key", WIRED + "x" * (LONGEST - len(WIRED) - 4) + ": 1\n"
    yield "one long number", WIRED + "lora_alpha: " + "1" * (LONGEST - len(WIRED) - 13) + "\n"
    yield "keys of a thousand letters", filled(WIRED, lambda n: f"{word(n, 1000)}: 1\n")
    yield "a long adapter", "base_model: a\nadapter: " + "l" * (LONGEST - 30) + "\n"
    yield "a long model", "base_model: " + "meta-llama/" * 5900
    yield "a long optimizer", WIRED + "optimizer: " + "adamw_" * 10000 + "\n"
    yield "tabs", filled(WIRED, "\t\n")
    yield "tabs behind values", filled(WIRED, lambda n: f"k{n}:\t1\t\n")
    yield "blank lines", filled(WIRED, "\n")
    yield "comments", filled(WIRED, "#\n")
    yield "quotes", filled(WIRED, lambda n: f'"{n}": "\\u0041"\n')
    yield "a folded text", filled(WIRED + "output_dir: >\n", "  a b\n\n")
    yield "octals", filled(WIRED, lambda n: f"k{n}: 0{n % 8}7\n")
    yield "times", filled(WIRED, lambda n: f"k{n}: 1:{n % 60:02}\n")
    yield "dates", filled(WIRED, lambda n: f"k{n}: 2024-01-{n % 28 + 1:02}\n")
    yield "carriage returns", filled(WIRED.replace("\n", "\r\n"), lambda n: f"{word(n, 5)}: 1\r\n")
    yield "letters of three bytes", filled(WIRED, lambda n: "ကခဂ" + word(n, 4) + ": ကခဂ\n")
    yield "markup", filled(WIRED, lambda n: f"k{n}: '<b>&\"'\n")
    yield "nothing of it known", filled("", lambda n: f"{word(n, 3)}{n}:\n")
    yield "words for nothing", filled(WIRED, lambda n: f"{word(n)}: None\n")
    yield "quotes that curl", filled(HEAD + "datasets:\n", lambda n: f"  - path: \u201c{n}\u201d\n    type: alpaca\n")
    yield "a pasted line", ("{" + "a: 1, " * 20000)[: LONGEST - 1] + "}"


def of_lists(_: Schema) -> Iterator[tuple[str, str]]:
    """Long lists and mappings below one key."""
    yield "targets", filled(NAMED + "lora_target_modules:\n", lambda n: f"  - {word(n)}\n")
    yield "targets of odd patterns", filled(NAMED + "lora_target_modules:\n", lambda n: f"  - '(a+)+{n}'\n")
    yield "a pattern of targets", NAMED + "lora_target_modules: '" + "(x+x+)+y|" * 7000 + "z'\n"
    yield "parameters of targets", filled(WIRED + "lora_target_parameters:\n", lambda n: f"  - {word(n)}\n")
    yield "ranks by pattern", filled(WIRED + "peft:\n  rank_pattern:\n", lambda n: f"    {word(n)}: 8\n")
    yield "unfrozen", filled(WIRED + "unfrozen_parameters:\n", lambda n: f"  - '.*{word(n)}'\n")
    tried = "".join(f"  - '.*{word(n)}.*{word(n + 20)}'\n" for n in range(20))
    yield "unfrozen, as many as are tried", f"{WIRED}unfrozen_parameters:\n{tried}"
    yield "modules to save", filled(WIRED + "lora_modules_to_save:\n", lambda n: f"  - {word(n, 5)}\n")
    yield "plugins", filled(WIRED + "plugins:\n", lambda n: f"  - {word(n, 6)}.Plugin\n")
    yield (
        "plugins misspelt",
        filled(WIRED + "plugins:\n", lambda n: f"  - axolotl.integrations.lige{word(n, 3)}.LigerPlugin\n"),
    )
    yield "plugins without a dot", filled(WIRED + "plugins:\n", lambda n: f"  - lig{word(n, 4)}\n")
    yield (
        "datasets with wrong choices",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: alpaca\n    ds_type: jso{word(n, 3)}\n"),
    )
    yield (
        "datasets of unknown types",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: alp{word(n, 4)}\n"),
    )
    yield (
        "datasets of types of one's own",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: a\n    type: {word(n, 4)}.{word(n + 1)}\n"),
    )
    yield (
        "preference datasets of unknown types",
        filled(HEAD + "rl: dpo\ndatasets:\n", lambda n: f"  - path: a\n    type: chatml.{word(n, 4)}\n"),
    )
    yield (
        "files of unknown kinds",
        filled(HEAD + "datasets:\n", lambda n: f"  - path: ./a\n    type: alpaca\n    ds_type: jso{word(n, 3)}\n"),
    )
    yield (
        "targets that are there and not",
        filled(
            NAMED + "lora_target_modules:\n",
            lambda n: f"  - {word(n)}\n" if n % 2 else "  - q_proj\n",
        ),
    )
    yield "tokens", filled(WIRED + "tokens:\n", lambda n: f"  - {word(n, 6)}\n")
    yield "special tokens", filled(WIRED + "special_tokens:\n", lambda n: f"  {word(n, 6)}: x\n")
    yield "optimizer arguments", filled(WIRED + "optim_args:\n", lambda n: f"  {word(n, 6)}: 1e3\n")
    yield "fsdp settings", filled(WIRED + "fsdp_config:\n", lambda n: f"  {word(n, 6)}: 1\n")
    yield (
        "learning rates by group",
        filled(WIRED + "lr_groups:\n", lambda n: f"  - name: a\n    lr: x\n    {word(n, 6)}: 1\n"),
    )
    yield "trl settings", filled(WIRED + "trl:\n", lambda n: f"  {word(n, 6)}: 1\n")


def spent(work: Callable[[], Any]) -> float:
    """Milliseconds of the processor, the least of two."""
    took = []
    for _ in range(2):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took) * 1000


def measured(client: TestClient, catalog: Catalog, text: str) -> tuple[float, ...]:
    """What a check of ``text`` takes: the service, the API, the page, the page that applies every safe fix."""
    hardware = resolve_hardware(catalog=catalog, gpu=GPU)
    form = {"yaml": text, "gpu": GPU}
    return (
        spent(lambda: check_text(catalog=catalog, text=text, hardware=hardware)),
        spent(lambda: client.post("/api/v1/check", json={"yaml": text, "hardware": {"gpu": GPU}})),
        spent(lambda: client.post("/check", data=form, follow_redirects=False)),
        spent(lambda: client.post("/check", data={**form, "apply": "safe"}, follow_redirects=False)),
    )


def main() -> None:
    """Measure."""
    logging.disable()
    catalog = load_catalog()
    rows = []
    with TestClient(create_app(Settings())) as client:
        client.get("/check")
        for name, text in files(catalog):
            rows.append((measured(client, catalog, text), name))
    for times, name in sorted(rows, key=lambda row: -max(row[0])):
        print(*(f"{took:4.0f}" for took in times), name)


if __name__ == "__main__":
    main()
