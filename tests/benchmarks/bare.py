"""The yardstick: the least that FastAPI does for a JSON body."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def give_back(body: dict[str, Any]) -> dict[str, Any]:
    """Parse the body and give it back."""
    return body


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """What a start is measured to; there is nothing to load."""
    return {"status": "ok"}
