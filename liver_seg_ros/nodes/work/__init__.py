# SPDX-License-Identifier: Apache-2.0
"""What nodes have done in worker processes, one class a node: no node, no topic, no parameter is known here."""
