"""A training tool's own file (axolotl, LLaMA-Factory, torchtune, TRL) as options of a recipe."""

from l4guide.recipes.reading import Reading, read_recipe

__all__ = ["Reading", "read_recipe"]
