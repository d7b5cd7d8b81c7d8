"""PEFT's methods beside LoRA."""
