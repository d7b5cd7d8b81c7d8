"""Puts ``/tree`` together: the path, the next question or the method, the drawing, and every question as a list."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.decision import Answer, Leaf, Node, implied
from app.core.plan import Advice, Decision, Goal, Priority, Tasks, Wish
from app.services.templates import known_facts
from app.texts import Texts
from app.web.contexts import Link
from app.web.forms import Form
from app.web.planning import Answer as Found
from app.web.presenting import model_name
from app.web.preview import preview
from app.web.shell import shell
from app.web.templating import path_for
from app.web.tree.context import AnswerView, KnobView, LeafView, NodeView, StepView, TreePage
from app.web.tree.drawing import draw

PREFIX = "a."
"""Of the parameters that hold a person's answers, by node."""
OWN = ("walk", "own")
"""The parameter that says that a person answers, though the wizard's query could."""
LETTERS = "abcdefgh"
GUIDE = "guide"


class Builder:
    """One page in the making."""

    def __init__(self, request: Request, texts: Texts, found: Found) -> None:
        self.request, self.texts, self.t = request, texts, texts.text
        self.catalog: Catalog = request.app.state.catalog
        self.tree = self.catalog.tree
        self.form: Form = found.form
        self.found = found
        self.plan = found.plan
        query = request.query_params
        self.given = {name.removeprefix(PREFIX): text for name, text in query.items() if name.startswith(PREFIX)}
        self.own = bool(self.given) or self.plan is None or query.get(OWN[0]) == OWN[1]
        answers = self.given if self.own or self.plan is None else _answers(self.plan.decision)
        self.path, self.end = self.tree.follow(answers)
        self.taken = {node.id: answer for node, answer in self.path}
        self.params: Mapping[str, object] = {
            "model": model_name(self.plan, self.catalog, texts) if self.plan else self.t("tree.page.any_model"),
            "hardware": found.hardware.name if found.hardware else self.t("tree.page.any_hardware"),
            "memory_gb": found.hardware.marketed_memory_gb if found.hardware else 0.0,
        }

    def page(self) -> TreePage:
        """Everything."""
        nodes = tuple(self.node(node) for node in self.tree.nodes.values())
        leaves = tuple(self.leaf(leaf) for leaf in self.tree.leaves.values())
        reached = next((leaf for leaf in leaves if leaf.reached), None)
        walked = " → ".join(step.answer for step in self.steps())
        described = self.t("tree.page.drawn", path=walked, end=reached.name if reached else "…") if walked else ""
        plan_path = path_for(self.request, "plan")
        title, about = self.t("tree.page.title"), self.t("tree.page.lead")
        if not self.own:
            title, about = preview(self.texts, self.catalog, self.found, title=title, lead=about)
        elif walked:
            about = described
        return TreePage(
            shell=shell(self.request, self.texts, here="tree", title=title, description=about),
            own=self.own,
            about=self.t("tree.page.from_plan", **self.params) if not self.own else "",
            steps=self.steps(),
            asked=self.node(self.end) if isinstance(self.end, Node) else None,
            leaf=reached,
            nodes=nodes,
            leaves=leaves,
            drawing=draw(self.tree, nodes, leaves, language=self.texts.language, description=described),
            action=path_for(self.request, "tree"),
            hidden=(*self.form_pairs(), *((PREFIX + node.id, answer.id) for node, answer in self.path)),
            own_url=self.address((), own=True) + "#question",
            again_url=self.address((), own=False) if self.plan is not None and self.own else "",
            plan_url=plan_path + self.form.query() if self.plan is not None else "",
            errors=tuple(self.texts.render(error.message) for error in self.found.asked.errors),
        )

    def form_pairs(self) -> tuple[tuple[str, str], ...]:
        """What the wizard's form says, to go along."""
        lang = (("lang", self.form.lang),) if self.form.lang else ()
        return (*self.form.values.items(), *lang)

    def address(self, answers: tuple[tuple[Node, Answer], ...], *, own: bool) -> str:
        """This page after these answers."""
        pairs = [*self.form_pairs(), *((PREFIX + node.id, answer.id) for node, answer in answers)]
        if own and not answers:
            pairs.append(OWN)
        query = urlencode(pairs)
        return path_for(self.request, "tree") + (f"?{query}" if query else "")

    def steps(self) -> tuple[StepView, ...]:
        """The answered questions; changing one goes back to it, those before it being kept."""
        return tuple(
            StepView(
                node=node.id,
                question=self.t(f"tree.{node.id}.question"),
                answer=self.stated(node, answer),
                reason=self.reason(node, answer),
                change_url=self.address(self.path[:position], own=True) + "#question",
            )
            for position, (node, answer) in enumerate(self.path)
        )

    def node(self, node: Node) -> NodeView:
        """One question with its answers."""
        numbers = {walked.id: position for position, (walked, _) in enumerate(self.path, start=1)}
        return NodeView(
            id=node.id,
            question=self.t(f"tree.{node.id}.question"),
            answers=tuple(
                AnswerView(
                    id=answer.id,
                    letter=LETTERS[position],
                    text=self.worded(node, answer),
                    reason=self.reason(node, answer),
                    leads_to=self.target(answer),
                    taken=self.taken.get(node.id) is answer,
                    url=self.address((*self.path, (node, answer)), own=True) + "#question",
                )
                for position, answer in enumerate(node.answers)
            ),
            source=self.source(node.source),
            number=numbers.get(node.id, 0),
            asked=node is self.end,
        )

    def leaf(self, leaf: Leaf) -> LeafView:
        """One method; the one that the path ends at has its knobs and the way to a plan."""
        row = self.catalog.methods.get(leaf.method)
        reached = leaf is self.end
        wish = self.wish()
        plan_form = self.form.with_values(method=leaf.method, goal=wish.goal, priority=wish.priority, tasks=wish.tasks)
        url = path_for(self.request, "plan") + plan_form.query()
        if not self.own:
            url = path_for(self.request, "plan") + self.form.query()
        name = self.t(f"method.{leaf.method}")
        return LeafView(
            id=leaf.method,
            name=name,
            summary=self.t(row.summary),
            reached=reached,
            knobs=tuple(self.knob(item) for item in self.advice(leaf)) if reached else (),
            plan=Link(text=self.t("tree.page.plan", method=self.t(f"method.{leaf.method}")), url=url)
            if reached
            else None,
        )

    def wish(self) -> Wish:
        """What the form wishes for, and what answers imply beyond it."""
        said = implied(self.path) if self.own else {}
        wish = self.found.asked.wish
        return Wish(
            goal=Goal(said.get("goal", wish.goal)),
            priority=Priority(said.get("priority", wish.priority)),
            tasks=Tasks(said.get("tasks", wish.tasks)),
            dataset=wish.dataset,
        )

    def advice(self, leaf: Leaf) -> tuple[Advice, ...]:
        """On the method's knobs, for the model where there is one."""
        if self.plan is not None and not self.own and self.plan.method == leaf.method:
            return self.plan.advice
        architecture = self.plan.estimate.architecture if self.plan else None
        facts = known_facts(self.wish(), leaf.method, hardware=self.found.hardware, architecture=architecture)
        return self.catalog.advisor.advise(leaf.knobs, facts.get, {})

    def knob(self, item: Advice) -> KnobView:
        """One piece of advice."""
        usual = "" if item.least is None or item.most is None else f"{_short(item.least)} – {_short(item.most)}"
        return KnobView(
            key=self.t("tree.page.effective_batch") if item.key == "effective_batch" else item.key,
            value=_short(item.value),
            usual=usual,
            reason=self.texts.render(item.reason),
            source=self.source(item.source),
        )

    def worded(self, node: Node, answer: Answer) -> str:
        """An answer by itself, without a plan's figures."""
        code = f"tree.{node.id}.{answer.id}.choice"
        return self.t(code) if code in self.texts else self.stated(node, answer)

    def stated(self, node: Node, answer: Answer) -> str:
        """An answer as a plan states it."""
        code = f"tree.{node.id}.{answer.id}"
        if self.own and f"{code}.choice" in self.texts:
            return self.t(f"{code}.choice")
        return self.t(f"{code}.answer", **self.params)

    def reason(self, node: Node, answer: Answer) -> str:
        """Why."""
        said = self.t(f"tree.{node.id}.{answer.id}.reason", **self.params)
        return said if self.plan else said[:1].upper() + said[1:]

    def target(self, answer: Answer) -> Link:
        """Where an answer leads, in the list below."""
        if answer.next is not None:
            return Link(text=self.t(f"tree.{answer.next}.question"), url=f"#node-{answer.next}")
        if answer.leaf is not None:
            return Link(text=self.t(f"method.{answer.leaf}"), url=f"#leaf-{answer.leaf}")
        return Link(text="", url="")

    def source(self, source: str) -> Link | None:
        """Where a rule comes from; the guide has no address."""
        if source == GUIDE:
            return None
        return Link(text=source.removeprefix("https://").partition("/")[0], url=source)


def _answers(decision: Decision) -> Mapping[str, str]:
    return {step.node: step.answer_id for step in decision.path}


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.10f}".rstrip("0").rstrip(".") or "0"
