"""The operations that reach out of a model: to files, to the network, to Python, to other processes.

A SavedModel is a program, and TensorFlow runs it with the rights of the process that loads it. The lists come from
TensorFlow's registry of operations; tests/steps/_savedmodel/test_reach.py goes through it, and fails where a new
release has one that takes a file or an address and is not judged here. An operation that TensorFlow does not have
itself fails to load, unless somebody loaded its library into the process, and who does that vouches for it.

Not listed is what only looks as if: writers of summaries without the file they write to, readers of queues without
what opens the file, what needs a TPU, and ``Print``, which writes to stderr alone.
"""

import re
from typing import NamedTuple

READS = """
ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 FixedLengthRecordReader
FixedLengthRecordReaderV2 TFRecordReader TFRecordReaderV2 LMDBReader RecordInput Restore RestoreSlice RestoreV2
DTensorRestoreV2 LoadAndRemapMatrix GenerateVocabRemapping InitializeTableFromTextFile InitializeTableFromTextFileV2
Skipgram TextLineDataset FixedLengthRecordDataset FixedLengthRecordDatasetV2 TFRecordDataset TFRecordDatasetV2
CSVDataset CSVDatasetV2 ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset MatchingFilesDataset
ExperimentalMatchingFilesDataset SqlDataset ExperimentalSqlDataset LoadDataset SnapshotDatasetReader
SnapshotNestedDatasetReader SnapshotChunkDataset ListSnapshotChunksDataset
"""
WRITES = """
WriteFile Save SaveSlices SaveV2 MergeV2Checkpoints SaveDataset SaveDatasetV2 DatasetToTFRecord
ExperimentalDatasetToTFRecord SnapshotDataset SnapshotDatasetV2 DistributedSave CreateSummaryFileWriter
CreateSummaryDbWriter DumpTensor CalibrationStatisticsSaver FileSystemSetConfiguration
"""
# those for debugging send tensors to file:// and grpc:// URLs; a collective waits for peers over the network
REMOTE = """
DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary RpcServer RpcServerStart
RpcServerRegister RpcClient RpcCall RpcCheckStatus RpcGetValue RemoteCall DataServiceDataset DataServiceDatasetV2
DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset RegisterDatasetV2 Send Recv _Send _Recv _HostSend _HostRecv
CollectiveInitializeCommunicator CollectiveGather CollectiveGatherV2 CollectiveReduce CollectiveReduceV2
CollectiveReduceV3 CollectiveReduceScatterV2 CollectiveBcastSend CollectiveBcastSendV2 CollectiveBcastRecv
CollectiveBcastRecvV2 CollectiveAllToAllV2 CollectiveAllToAllV3 CollectiveAssignGroupV2
"""
# Python by a number, native code by a name, and a graph in a string, into which nobody can look beforehand
CODE = "PyFunc PyFuncStateless EagerPyFunc XlaCustomCall XlaCustomCallV2 DatasetFromGraph"
REACHING = frozenset(f"{READS} {WRITES} {REMOTE} {CODE}".split())
# each SavedModel has these for its variables
OWN = frozenset({"RestoreV2", "SaveV2", "MergeV2Checkpoints"})

# parts of the names of operations that loop, branch or wait, so that their time hangs on the values they get; a module
# of XLA's may hold any of them
UNSTEADY = re.compile(
    "While|Enter$|NextIteration|^For$|If$|Case|Switch|Condition$|MapDefun|Xla|TPU|Dataset|Iterator|Queue|Dequeue|Barrier"
    "|Stage|stage|Peek|Accumulator|BatchFunction|Sleep"
)


class Harmless(NamedTuple):
    """The attribute of an operation that says what it touches, and how the values begin with which that is nothing."""

    attribute: str
    beginnings: tuple[str, ...]


BY_ATTRIBUTE = {
    "PrintV2": Harmless("output_stream", ("stderr", "stdout", "log(")),
    "DecodeProtoV2": Harmless("descriptor_source", ("local://", "bytes://")),
    "EncodeProto": Harmless("descriptor_source", ("local://", "bytes://")),
    "FixedUnigramCandidateSampler": Harmless("vocab_file", ()),
}
IN_MEMORY = {"CacheDataset": 1, "CacheDatasetV2": 1}  # the input that names the file; "" is none

# the input that names the file, and what of the model's own may stand there: a file among its assets, its variables
OWN_FILES = {
    "ReadFile": (0, "asset"),
    "InitializeTableFromTextFile": (1, "asset"),
    "InitializeTableFromTextFileV2": (1, "asset"),
    "RestoreV2": (0, "variables"),
}
JUDGED = REACHING | BY_ATTRIBUTE.keys() | IN_MEMORY.keys()
