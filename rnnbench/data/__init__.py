"""Data: LightningDataModules, one modality a file, usable with a plain Trainer."""

from rnnbench.data.captions import CaptionEmoji, Captions, Flickr8k
from rnnbench.data.formal import (
    BucketSort,
    CycleNavigation,
    DuplicateString,
    EvenPairs,
    MissingDuplicate,
    ModularArithmetic,
    OddsFirst,
    ParityCheck,
    ReverseString,
    StackManipulation,
)
from rnnbench.data.images import MNIST5k
from rnnbench.data.language import LanguageStream, PennTreebank, Shakespeare, WikiText2
from rnnbench.data.listops import ListOps
from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.data.music import FolkABC
from rnnbench.data.pianoroll import BachChorales, PianoRoll
from rnnbench.data.pronunciation import CMUDict, CMUDictCTC
from rnnbench.data.questions import FactQuestions
from rnnbench.data.series import MNIST1D, JapaneseVowels, UCRSeries
from rnnbench.data.speech import SpeechCommands, SpeechDigits, SpeechPrompts
from rnnbench.data.synthetic import Adding, CopyMemory, Parity, SelectiveCopy
from rnnbench.data.tags import PortugueseTags
from rnnbench.data.text_classification import SST5, MovieSentiment, TextClassification
from rnnbench.data.translation import InterfaceStrings, Multi30k, NumberWords, ParallelText
from rnnbench.data.video import UCF101, MovingDigits
from rnnbench.data.weather import WeatherNYC, WeatherNYC24h
from rnnbench.utils.download import Source

__all__ = [
    "MNIST1D",
    "SST5",
    "UCF101",
    "Adding",
    "BachChorales",
    "BucketSort",
    "CMUDict",
    "CMUDictCTC",
    "CaptionEmoji",
    "Captions",
    "CopyMemory",
    "CycleNavigation",
    "DuplicateString",
    "EvenPairs",
    "FactQuestions",
    "Flickr8k",
    "FolkABC",
    "InterfaceStrings",
    "JapaneseVowels",
    "LanguageStream",
    "ListOps",
    "MNIST5k",
    "MissingDuplicate",
    "ModularArithmetic",
    "MovieSentiment",
    "MovingDigits",
    "Multi30k",
    "NumberWords",
    "OddsFirst",
    "ParallelText",
    "Parity",
    "ParityCheck",
    "PennTreebank",
    "PianoRoll",
    "PortugueseTags",
    "ReverseString",
    "SelectiveCopy",
    "SequenceDataModule",
    "Shakespeare",
    "Source",
    "SpeechCommands",
    "SpeechDigits",
    "SpeechPrompts",
    "Splits",
    "StackManipulation",
    "TextClassification",
    "UCRSeries",
    "WeatherNYC",
    "WeatherNYC24h",
    "WikiText2",
]
