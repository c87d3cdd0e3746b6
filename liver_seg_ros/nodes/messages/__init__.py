"""ROS messages to and from this package's types."""
