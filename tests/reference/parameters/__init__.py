"""Parameter counts from Transformers and PEFT, against which the descriptions of architectures are held."""
