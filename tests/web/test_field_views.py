"""Fields as shown: what stays from one change to the next, and what does not."""

from starlette.datastructures import QueryParams

from app.catalog.library import load_catalog
from app.texts import texts
from app.web.contexts import FieldView
from app.web.field_views import LONGEST_KEPT, field_views
from app.web.forms import Form
from app.web.planning import answer

from .conftest import GPU, MODEL

CATALOG = load_catalog()


def views(**typed: str) -> dict[str, FieldView]:
    """The fields of a plan with ``typed``."""
    form = Form.from_query(QueryParams({"model": MODEL, "gpu": GPU, **typed}))
    found = answer(form, CATALOG)
    return field_views(found.form, found.asked, CATALOG, texts("en"), Form.query, plan=found.plan)


def test_a_field_that_stays_as_it_is_stays_the_same_view() -> None:
    one, other = views(lora_r="24"), views(lora_r="48")
    assert one["gpu"] is other["gpu"]
    assert one["num_epochs"] is other["num_epochs"]
    assert one["lora_r"].value == "24"
    assert other["lora_r"].value == "48"
    assert "lora_r" not in str(one["lora_r"].reset_url)


def test_a_field_whose_recommendation_changes_is_another_view() -> None:
    one, other = views(method="lora"), views(method="qlora", neftune="on")
    assert one["neftune"] is not other["neftune"]
    assert one["neftune"].options[0].label != other["neftune"].options[0].label
    assert [option.value for option in one["method"].options] == [option.value for option in other["method"].options]


def test_what_holds_all_that_was_typed_is_not_kept() -> None:
    path = "a/" + LONGEST_KEPT * "b"
    for typed in ({"lora_r": "24"}, {"dataset_path": path[: LONGEST_KEPT - 1] + "cc"}, {"rows": "many"}):
        (name,) = typed
        one, other = views(**typed), views(**typed)
        assert one[name] is not other[name], name
        assert (one[name].value, one[name].errors) == (other[name].value, other[name].errors)
