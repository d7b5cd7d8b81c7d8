"""What each page is made from: one frozen data class per page and per part of it. Templates know nothing else.

What several pages need is offered here; a page's own context lives with the page, or in a module of this package.
"""

from app.web.contexts.form import (
    ErrorSummaryItem,
    FieldError,
    FieldView,
    FindingView,
    Option,
    OptionGroup,
    PastedModel,
)
from app.web.contexts.frame import ErrorPage, Language, Link, Nav, NavGroup, NavLink, PageContext, Shell
from app.web.contexts.home import HomePage, Sample
from app.web.contexts.result import (
    AlternativeView,
    Brought,
    ChangeView,
    Column,
    FormulaView,
    KnobView,
    LengthChart,
    MemoryBar,
    ModuleView,
    Result,
    Segment,
    Slice,
    StepView,
    Tick,
    TimeFact,
    Verdict,
)
from app.web.contexts.wizard import ModelChoice, ModelChoices, PlanPage, SectionView, State

__all__ = [
    "AlternativeView",
    "Brought",
    "ChangeView",
    "Column",
    "ErrorPage",
    "ErrorSummaryItem",
    "FieldError",
    "FieldView",
    "FindingView",
    "FormulaView",
    "HomePage",
    "KnobView",
    "Language",
    "LengthChart",
    "Link",
    "MemoryBar",
    "ModelChoice",
    "ModelChoices",
    "ModuleView",
    "Nav",
    "NavGroup",
    "NavLink",
    "Option",
    "OptionGroup",
    "PageContext",
    "PastedModel",
    "PlanPage",
    "Result",
    "Sample",
    "SectionView",
    "Segment",
    "Shell",
    "Slice",
    "State",
    "StepView",
    "Tick",
    "TimeFact",
    "Verdict",
]
