# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to a model bundle that `inference` runs. Needs the extras `[train]` and `[deploy]`."""
