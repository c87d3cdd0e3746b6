# SPDX-License-Identifier: Apache-2.0
"""What happens beside the steps of a training, each by itself: Lightning calls them."""
