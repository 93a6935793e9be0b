"""Expressions found for what a type of model was seen to be made of; used by `make traces` alone."""
