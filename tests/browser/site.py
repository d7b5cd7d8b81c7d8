"""Every HTML page that the application has, found in its route table, so that a new page is walked by itself."""

import re
from functools import cache
from itertools import islice

from starlette.testclient import TestClient

from app.application import create_app
from app.schemas.vocabulary import YAML_EXAMPLE
from app.settings import Settings
from app.web.sharing import pack
from app.web.site import ROUTERS

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PLAN = f"/plan?model={MODEL}&gpu=rtx-4090"

IMAGES_YAML = """base_model: Qwen/Qwen2.5-VL-7B-Instruct
processor_type: AutoProcessor
datasets:
  - path: a/b
    type: chat_template
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_modules: [q_proj, v_proj]
learning_rate: 0.0002
"""
"""A file that reads images of any size."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "plan": (
        PLAN,
        f"{PLAN}&lora_r=24&goal=dpo&method=qlora&rows=12000&keys=weight_decay:%200.01",
        "/plan?model=meta-llama/Llama-3.3-70B-Instruct&gpu=rtx-3060-12gb",
        f"/plan?model={MODEL}",
        "/plan?model=google/gemma-3-4b-it&gpu=rtx-4090&images_per_row=4&keys=processor_type:%20AutoProcessor",
        f"{PLAN}&method=prompt_tuning",
        f"{PLAN}&keys=adapter:%20qlora%0Aload_in_4bit:%20true%0Aload_in_8bit:%20true",
        f"{PLAN}&file=filled&keys=adapter:%20lora%0Alora_target_linear:%20true%0Aweight_decay:%200.01&lora_r=8",
        "/plan?model=lama+8b&gpu=rtx-4091&lora_r=-3&keys=%5B",
    ),
    "tree": (
        f"/tree?model={MODEL}&gpu=rtx-4090&priority=quality",
        "/tree?a.vram=from_48&a.first=quality",
    ),
    "fit": (f"/fit?model={MODEL}&gpu=rtx-4090", f"/fit?model={MODEL}&gpu=rtx-4090&vary=rank&x=lora_r&y=lora_r"),
    "compare": (
        f"/compare?model={MODEL}&gpu=rtx-4090&left=1&right=2",
        f"/compare?model={MODEL}&gpu=rtx-4090&v=lora_r",
    ),
    "method": ("/methods/relora?gpu=rtx-3060-12gb", "/methods/prefix_tuning", "/methods/qlor"),
    "check": (
        f"/check?c={pack(YAML_EXAMPLE)}&gpu=rtx-4090",
        f"/check?c={pack(YAML_EXAMPLE)}&gpu=rtx-3060-12gb",
        f"/check?c={pack(YAML_EXAMPLE.replace('8B-Instruct', '8B-Instrukt'))}&gpu=rtx-4090",
        "/check?c=damaged&gpu=rtx-4091",
        f"/check?c={pack(IMAGES_YAML)}&gpu=rtx-5090&images_per_row=3",
        f"/check?c={pack(IMAGES_YAML)}&gpu=rtx-5090&images_per_row=many&image_side=0",
    ),
    "method_export": ("/methods/ia3/nothing.zip",),
    "plan_export": ("/plan/take/plugin.zip",),
    "models": ("/models?q=qwen3&gpu=rtx-3060-12gb&sort=parameters", "/models?q=zzzz&family=lama&sort=nmae"),
    "gpus": ("/gpus?q=40&model=qwen3-8b",),
}
"""States of a page that look different, by the name of its route; its bare address is always walked."""

BEYOND = ("/nothing",)
"""Pages without a route."""


def paths() -> tuple[str, ...]:
    """One address of every page, and of every state that is worth a look."""
    found = _found()
    states = [path for name in found for path in (*found[name], *EXAMPLES.get(name, ()))]
    return tuple(dict.fromkeys((*states, *BEYOND)))


@cache
def _found() -> dict[str, tuple[str, ...]]:
    """Addresses by route. A path with parameters is filled in from the first link that leads there."""
    client = TestClient(create_app(Settings(access_log=False)))
    routes = [route for router in ROUTERS for route in router.routes if "GET" in getattr(route, "methods", ())]
    pages: dict[str, tuple[str, ...]] = {}
    links: list[str] = []
    for route in routes:
        if "{" in route.path:
            continue
        answer = client.get(route.path)
        if answer.headers.get("content-type", "").startswith("text/html") and "<html" in answer.text:
            pages[route.name] = (route.path,)
            links += re.findall(r'href="(/[^"?#]*)', answer.text)
    for route in routes:
        if "{" in route.path:
            there = (link for link in links if route.path_regex.match(link))
            pages[route.name] = tuple(islice((link for link in there if "<html" in client.get(link).text), 1))
    return pages


def without_an_address() -> list[str]:
    """Routes that no page links to: they need an entry in ``EXAMPLES``."""
    return [name for name, addresses in _found().items() if not addresses and name not in EXAMPLES]
