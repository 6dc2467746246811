"""Inputs that strangers could have made, and what every reader of them promises: a result or an AtError."""
