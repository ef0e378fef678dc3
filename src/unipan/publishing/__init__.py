"""`unipan push`: a checkpoint, its graphs and a model card to the Hugging Face Hub."""
