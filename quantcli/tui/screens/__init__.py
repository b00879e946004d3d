"""The five screens, each a function of the model that says what its lines are, in any size."""
