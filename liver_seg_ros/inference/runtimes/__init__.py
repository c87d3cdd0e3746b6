# SPDX-License-Identifier: Apache-2.0
"""What executes a model bundle: one file per runtime behind the one `Runtime` protocol of `base`."""
