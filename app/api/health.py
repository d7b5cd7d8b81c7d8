"""Liveness and readiness, for whoever runs the process."""

from fastapi import APIRouter, Response

from app.api.describing import gives
from app.schemas.answer import Health

router = APIRouter(tags=["health"])

_OK = b'{"status":"ok"}'


@router.get("/healthz", operation_id="liveness", summary="Liveness", responses=gives(Health))
async def healthz() -> Response:
    """Whether the process answers at all."""
    return Response(_OK, media_type="application/json", headers={"cache-control": "no-store"})


@router.get("/readyz", operation_id="readiness", summary="Readiness", responses=gives(Health))
async def readyz() -> Response:
    """Whether the catalogue is loaded; it is before the first request is taken."""
    return Response(_OK, media_type="application/json", headers={"cache-control": "no-store"})
