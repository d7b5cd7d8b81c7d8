"""What is asked of images, where a plan or a file reads any: how many a row holds, and how large they are."""

from collections.abc import Mapping
from typing import Any

from app.core.architecture import Architecture, Part
from app.core.axolotl.run_reader import read_run
from app.services.inputs import image_side

NUMBER, SIDE = IMAGE_FIELDS = ("images_per_row", "image_side")
"""Names of the fields, as the API's ``dataset`` has them."""


def asked_of(config: Mapping[str, Any], architecture: Architecture) -> tuple[str, ...]:
    """Those that figures of ``config``, which can be read, depend on.

    Packed rows pass by the processor. An image's size is asked for where figures depend on it and the file is silent.
    """
    sight = architecture.sight
    looks = sight is not None or any(module.part is Part.VISION for module in architecture.modules)
    if "processor_type" not in config or not looks:
        return ()
    run = read_run(config)
    if not run.sees or run.sample_packing:
        return ()
    return (
        IMAGE_FIELDS
        if sight is not None and sight.sized and image_side(config.get("image_size")) is None
        else (NUMBER,)
    )
