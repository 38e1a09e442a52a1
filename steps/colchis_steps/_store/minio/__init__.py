"""MinIO's administration: its users and policies; objects are the SDK's."""
