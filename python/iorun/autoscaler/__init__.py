"""What programs ask of an autoscaler: nodes join by `iorun join`, nobody starts machines."""
