"""What a node does beside the flow: retention, the doctor, its life among other nodes, its clock and gauges."""
