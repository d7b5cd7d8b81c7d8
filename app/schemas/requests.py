"""What requests are parsed with and checked by."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.core.objective import Objective
from app.core.plan import MOST_IMAGES, MOST_SIDE, Goal, Install, Priority, Tasks
from app.schemas.vocabulary import QLORA_EXAMPLE, YAML_EXAMPLE, Config, GridKey, Model, VaryKey

CHECK_MISSING = "check_missing"
HARDWARE_MISSING = "hardware_missing"
MODEL_MISSING = "model_missing"


class _Request(BaseModel):
    """Refuses what it does not know, so that a typing slip never goes unseen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Hardware(_Request):
    """What the run happens on: a GPU by id, name or alias, or bare memory."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"gpu": "rtx-4090", "count": 1, "nodes": 1},
                {"vram_gib": 23.5, "count": 1, "nodes": 1, "compute_capability": "8.6"},
            ]
        }
    )

    gpu: str | None = Field(
        default=None, description="A GPU's id, as GET /gpus lists it; a name or alias is understood."
    )
    vram_gib: float | None = Field(
        default=None,
        description="Memory of one GPU in GiB, instead of `gpu`; beside it, what there is of that card.",
        gt=0,
        le=1024,
    )
    count: int = Field(default=1, description="GPUs in each machine.", ge=1, le=1024)
    nodes: int = Field(default=1, description="Machines.", ge=1, le=1024)
    compute_capability: str | None = Field(
        default=None, description="NVIDIA's, with `vram_gib`; 8.0 is assumed.", pattern=r"^\d{1,2}\.\d$"
    )

    price_per_hour: float | None = Field(
        default=None, ge=0, le=10**6, description="What an hour of one GPU costs, in any currency; `time` then prices."
    )

    @model_validator(mode="after")
    def _named(self) -> "Hardware":
        if self.gpu is None and self.vram_gib is None:
            raise PydanticCustomError(HARDWARE_MISSING, "gpu or vram_gib is needed")
        return self


class Dataset(_Request):
    """The training data, as far as a plan cares."""

    path: str | None = Field(default=None, description="A dataset's id on the Hugging Face Hub, or a path.")
    type: str | None = Field(
        default=None, description="Axolotl's prompt format: `chat_template`, `alpaca`, `completion`, ..."
    )
    rows: int | None = Field(default=None, ge=1, le=10**12, description="Samples.")
    mean_tokens: int | None = Field(default=None, ge=1, le=10**9, description="Tokens of an average sample.")
    max_tokens: int | None = Field(default=None, ge=1, le=10**9, description="Tokens of the longest sample.")
    images_per_row: int | None = Field(
        default=None,
        ge=0,
        le=MOST_IMAGES,
        description="Images of a sample, read under `processor_type`: 1 where left out, 0 for text alone.",
    )
    image_side: int | None = Field(
        default=None,
        ge=1,
        le=MOST_SIDE,
        description="Pixels of a square image's side, for models whose processor leaves an image as large as it is; "
        "`image_size` goes before it, 1,024 is taken where both are left out.",
    )


class EstimateRequest(_Request):
    """A configuration to estimate, and where it is to run."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}}]}
    )

    config: Config
    model: Model | None = None
    hardware: Hardware | None = None
    dataset: Dataset = Field(
        default=Dataset(), description="For the time of the whole run, and for the memory that images of a row take."
    )


class CheckRequest(_Request):
    """A file to look through, or a configuration."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"yaml": YAML_EXAMPLE, "hardware": {"gpu": "rtx-4090"}}, {"config": QLORA_EXAMPLE}]
        }
    )

    yaml: str | None = Field(default=None, description="A configuration file as text; it need not parse.")
    config: Config | None = Field(default=None, description="A configuration, instead of `yaml`.")
    model: Model | None = None
    hardware: Hardware | None = None
    dataset: Dataset = Field(
        default=Dataset(), description="For the memory that images of a row take, and for the time of the whole run."
    )
    install: Annotated[Install, Field(strict=False)] = Install.DOCKER

    @model_validator(mode="after")
    def _something(self) -> "CheckRequest":
        if (self.yaml is None) == (self.config is None):
            raise PydanticCustomError(CHECK_MISSING, "one of yaml and config is needed")
        return self


class ConfigRequest(_Request):
    """A configuration to write as a file."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"config": QLORA_EXAMPLE}]})

    config: Config
    model: Model | None = None


class PlanRequest(_Request):
    """A model, a GPU and what the fine-tune is for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "base_model": "meta-llama/Llama-3.1-8B-Instruct",
                    "hardware": {"gpu": "rtx-4090"},
                    "goal": "chat",
                    "priority": "quality",
                    "dataset": {"path": "mlabonne/FineTome-100k", "type": "chat_template"},
                    "overrides": {"lora_r": 16},
                }
            ]
        }
    )

    base_model: str | None = Field(default=None, description="A Hugging Face id that GET /models lists.")
    model: Model | None = None
    hardware: Hardware
    goal: Annotated[Goal, Field(strict=False)] = Goal.CHAT
    priority: Annotated[Priority, Field(strict=False)] = Priority.BALANCED
    tasks: Annotated[Tasks, Field(strict=False)] = Field(
        default=Tasks.ONE, description="`many` where one base is to serve many tasks, an adapter for each."
    )
    sequence_len: int | None = Field(default=None, ge=1, le=1 << 24, description="Tokens; chosen where left out.")
    dataset: Dataset = Dataset()
    overrides: Config = Field(default_factory=dict, description="Keys that the plan keeps as given.")
    install: Annotated[Install, Field(strict=False)] = Install.DOCKER

    @model_validator(mode="after")
    def _about_something(self) -> "PlanRequest":
        if self.base_model is None and self.model is None:
            raise PydanticCustomError(MODEL_MISSING, "base_model or model is needed")
        return self


class GridAxis(_Request):
    """One axis of a grid."""

    key: GridKey
    values: list[int] | None = Field(
        default=None, min_length=1, max_length=16, description="Usual values where left out."
    )


class GridRequest(_Request):
    """Two keys to vary against each other."""

    x: GridAxis = GridAxis(key="sequence_len")
    y: GridAxis = GridAxis(key="micro_batch_size")


class FitRequest(_Request):
    """A configuration to fit to a card, and what of it may change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "config": QLORA_EXAMPLE,
                    "hardware": {"gpu": "rtx-4060"},
                    "vary": ["micro_batch_size", "sequence_len"],
                    "objective": "longest_sequence",
                }
            ]
        }
    )

    config: Config
    model: Model | None = None
    hardware: Hardware
    vary: list[VaryKey] | None = Field(
        default=None,
        description="What may change: everything where left out, for a `largest_`, `longest_` or `highest_` objective "
        "that key alone, for `fastest` what keeps the training the same. Tried in the order of the choices.",
    )
    objective: Annotated[Objective, Field(strict=False)] = Field(
        default=Objective.FITS, description="`fits` changes as little as will do; the others look for the most."
    )
    grid: GridRequest | None = Field(default=None, description="Memory of each combination; `{}` for the usual one.")
    dataset: Dataset = Dataset()
    install: Annotated[Install, Field(strict=False)] = Install.DOCKER


class CompareRequest(_Request):
    """A configuration to see under several methods or with several changes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "config": QLORA_EXAMPLE,
                    "hardware": {"gpu": "rtx-4090"},
                    "variants": [{}, {"lora_r": 16}, {"adapter": "lora", "load_in_4bit": False}],
                }
            ]
        }
    )

    config: Config
    model: Model | None = None
    hardware: Hardware | None = None
    variants: list[Config] | None = Field(
        default=None,
        min_length=1,
        max_length=24,
        description="Each the keys that it changes, null taking one out; the guide's methods where left out.",
    )
    dataset: Dataset = Dataset()
