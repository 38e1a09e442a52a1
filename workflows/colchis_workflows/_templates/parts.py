"""Parts of a step that have a container each: those before the main one, and the places that they share."""

from hera.workflows import UserContainer, models

from colchis_workflows._templates.step import KEYS, KEYS_FILE, LOCKED, SETTINGS, environment


def early(
    module: str,
    name: str,
    image: str,
    *,
    args: list[str],
    mounts: list[models.VolumeMount],
    size: models.ResourceRequirements,
) -> UserContainer:
    """Return a container that runs a part before the main one; the store's settings come with the key."""
    has_key = KEYS in mounts
    return UserContainer(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        command=["python", "-m", f"colchis_steps.{module}"],
        args=args,
        env=environment(**KEYS_FILE) if has_key else environment(),
        resources=size,
        security_context=LOCKED,
        volume_mounts=mounts,
        env_from=SETTINGS if has_key else None,
    )


def place(path: str) -> models.VolumeMount:
    """Return the mount of a volume that is called as its path is."""
    return models.VolumeMount(name=path.strip("/"), mount_path=path)


def unwritable(mount: models.VolumeMount) -> models.VolumeMount:
    """Return the mount as one that is only read."""
    return mount.model_copy(update={"read_only": True})
