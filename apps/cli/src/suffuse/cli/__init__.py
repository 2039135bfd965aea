"""The umbrella command of suffuse."""
