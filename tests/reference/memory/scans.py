"""Stand-ins for the kernels of state-space and linear-attention layers."""

def install() -> None:
    """Once a process."""
