# SPDX-License-Identifier: Apache-2.0
"""Scripts that run in the environments of the quantizers (see `tool_environment`), and nowhere else."""
