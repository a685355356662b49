"""What is counted and shown of observations: the catalogue, what is accumulated, and the two text formats."""
