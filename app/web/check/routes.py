"""``/check``."""

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.web.hypermedia import VARY
from app.web.sharing import posted, unpack
from app.web.templating import path_for, reader, render

router = APIRouter(include_in_schema=False)


@router.api_route("/check", methods=["GET", "HEAD"], name="check")
def check(request: Request) -> Response:
    """The form, and what was found in the file that the address holds."""
    from app.web.check.builder import Asked, Builder, plan_text

    query = request.query_params
    packed = query.get("c", "")
    text = unpack(packed) if packed else ""
    texts = reader(request)
    if query.get("from") == "plan" and not packed:
        text = plan_text(request, texts) or ""
    asked = Asked(
        text=text or "",
        m=query.get("m", "").strip(),
        gpu=query.get("gpu", "").strip()[:200],
        vram_gib=query.get("vram_gib", "").strip()[:200],
        count=query.get("count", "").strip()[:200],
        install=query.get("install", "").strip()[:200],
        images_per_row=query.get("images_per_row", "").strip()[:200],
        image_side=query.get("image_side", "").strip()[:200],
    )
    builder = Builder(request, texts, asked, damaged=text is None)
    return render(request, "pages/check.html", builder.page(), texts, status=builder.status)


@router.post("/check", name="check_post")
async def check_post(request: Request) -> Response:
    """Look through what was posted, with a fix applied where one was asked for; on to its own address if it has one."""
    from app.web.check.builder import Builder, asked_from

    fields = posted(await request.body(), request.headers.get("content-type", ""))
    texts = reader(request)
    asked = asked_from(fields)
    builder = Builder(request, texts, asked)
    wanted = fields.get("apply")
    mended = builder.mended(wanted) if isinstance(wanted, str) and wanted else None
    if mended is not None and mended != asked.text:
        builder = Builder(request, texts, replace(builder.asked, text=mended))
    if builder.asked.blank and builder.status == 200:
        return RedirectResponse(path_for(request, "check") + builder.asked.query(builder.lang), 303, {"Vary": VARY})
    asked = builder.asked
    # what is found in a file that its address holds is shown there
    address = builder.address(asked.text) if builder.status == 200 and isinstance(asked.text, str) else None
    if address is not None:
        # the browser moves the focus there, with or without JavaScript
        return RedirectResponse(f"{address}#result-title", 303, {"Vary": VARY})
    return render(request, "pages/check.html", builder.page(), texts, status=builder.status)


@router.post("/check/config.yaml", name="check_file")
async def check_file(request: Request) -> Response:
    """The file to take along: as it stands in the box, or with every safe fix."""
    from app.web.check.builder import Builder, asked_from, file_from

    fields = posted(await request.body(), request.headers.get("content-type", ""))
    wanted = fields.get("take", "")
    name, text = file_from(Builder(request, reader(request), asked_from(fields)), str(wanted))
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": VARY}
    return Response(text.encode("utf-8", "replace"), headers=headers, media_type="application/yaml")
