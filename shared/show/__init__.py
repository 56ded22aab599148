"""What is shown: plots, pictures, the page, TensorBoard, exported models."""
