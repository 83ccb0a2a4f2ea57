"""The methods we compare with: searches under one render budget, and networks taught by babble."""
