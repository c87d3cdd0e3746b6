"""The ROS 2 nodes: thin lifecycle nodes around the library, and the conversion to and from messages.

The only room that knows `rclpy` and message packages. One node per file; `liver_seg` composes them in one process.
"""
