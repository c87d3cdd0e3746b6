# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own, so that libraries which hold all of Python do not hold the process that answers.

Knows nothing of ROS: functions, their arguments and results go to `WorkerProcess` and back as `Parcel`s.
"""
