"""Imported before torch and Triton are: says in one line what they would fail over in words of their own.

An older Triton has no `constexpr_function`, say, and the error of that names no version and no way out.
"""

from l4guide_kernels.requirements import require

require()
