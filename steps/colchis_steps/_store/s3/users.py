"""Users of an AWS account, each with one policy and one access key. Roles are better where pods can have them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as sdk

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.s3.connection import Connection
from colchis_steps._store.s3.errors import code_of

PATH = "/colchis/"  # of users and policies, by which they are told from others'
KEPT = 5  # versions of a policy that IAM keeps


class Users:
    """The account's users below ``PATH``.

    Raises, from each method: InputError where IAM refuses, TransientError where it is away.
    """

    def __init__(self, url: str) -> None:
        connection = Connection(url)
        with _explained("open"):
            self._iam = connection.session.client("iam")
            self._account = connection.session.client("sts").get_caller_identity()["Account"]
        self.partition = str(connection.session.get_partition_for_region(connection.session.region_name or "us-east-1"))

    def names(self) -> set[str]:
        """Return the users' names."""
        with _explained("list users"):
            pages = self._iam.get_paginator("list_users").paginate(PathPrefix=PATH)
            return {user["UserName"] for page in pages for user in page["Users"]}

    def let(self, name: str, policy: Mapping[str, Any]) -> None:
        """Make the policy of this name so; a version that is there already is set aside."""
        arn, text = self._arn(name), json.dumps(policy)
        with _explained(f"make the policy {name}"):
            try:
                self._iam.create_policy(PolicyName=name, Path=PATH, PolicyDocument=text)
            except self._iam.exceptions.EntityAlreadyExistsException:
                found = self._iam.list_policy_versions(PolicyArn=arn)["Versions"]
                (current,) = [one["VersionId"] for one in found if one["IsDefaultVersion"]]
                held = self._iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]["Document"]
                if held == dict(policy):
                    return
                if len(found) == KEPT:
                    oldest = min(
                        (one for one in found if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"]
                    )
                    self._iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
                self._iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)

    def make(self, name: str, _: str) -> tuple[str, str]:
        """Make the user unless it is there; return a new access key in the place of its old ones."""
        with _explained(f"make the user {name}"):
            try:
                self._iam.create_user(UserName=name, Path=PATH)
            except self._iam.exceptions.EntityAlreadyExistsException:
                for old in self._iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
                    self._iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
            key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def bind(self, name: str) -> None:
        """Let the user do what the policy of its name says."""
        with _explained(f"give the user {name} its policy"):
            self._iam.attach_user_policy(UserName=name, PolicyArn=self._arn(name))

    def _arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self._account}:policy{PATH}{name}"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except sdk.ClientError as error:
        message = str(error.response.get("Error", {}).get("Message", ""))[:200]
        fix = "give an administrator's keys, or print the policies by --policies and make the users by your own means"
        raise InputError(f"IAM refuses to {what} ({code_of(error)}: {message}); {fix}") from error
    except (sdk.ConnectionError, sdk.HTTPClientError) as error:
        raise TransientError(f"no answer from IAM to {what}; try again") from error
    except sdk.BotoCoreError as error:
        raise InputError(f"IAM cannot be asked to {what} ({str(error)[:200]}); correct the AWS_ settings") from error
