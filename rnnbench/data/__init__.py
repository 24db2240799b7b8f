"""Data: LightningDataModules, one modality a file, usable with a plain Trainer."""

from rnnbench.data.audio_folder import AudioFolder
from rnnbench.data.captions import CaptionEmoji, Captions, Flickr8k
from rnnbench.data.chaos import Lorenz, MackeyGlass, Narma10, SantaFeLaser
from rnnbench.data.counting import AnBn, Dyck1, Dyck2
from rnnbench.data.forecasts import SeriesForecast
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
from rnnbench.data.hub_dataset import HubDataset
from rnnbench.data.images import MNIST5k
from rnnbench.data.lags import Multiplication, SpikeTiming, TemporalOrder, TwoSequence
from rnnbench.data.language import LanguageStream, PennTreebank, Shakespeare, TextFile, WikiText2
from rnnbench.data.listops import ListOps
from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.data.music import FolkABC
from rnnbench.data.pianoroll import BachChorales, PianoRoll
from rnnbench.data.pronunciation import CMUDict, CMUDictCTC
from rnnbench.data.questions import FactQuestions
from rnnbench.data.reber import ContinualReber, EmbeddedReber
from rnnbench.data.series import MNIST1D, JapaneseVowels, UCRSeries
from rnnbench.data.series_csv import SeriesCSV
from rnnbench.data.speech import SpeechCommands, SpeechDigits, SpeechPrompts
from rnnbench.data.synthetic import Adding, CopyMemory, Parity, SelectiveCopy
from rnnbench.data.tags import PortugueseTags
from rnnbench.data.text_classification import SST5, MovieSentiment, TextClassification, TextCSV
from rnnbench.data.translation import InterfaceStrings, Multi30k, NumberWords, ParallelText, Translation
from rnnbench.data.video import UCF101, MovingDigits
from rnnbench.data.weather import WeatherNYC, WeatherNYC24h
from rnnbench.utils.download import Source

__all__ = [
    "MNIST1D",
    "SST5",
    "UCF101",
    "Adding",
    "AnBn",
    "AudioFolder",
    "BachChorales",
    "BucketSort",
    "CMUDict",
    "CMUDictCTC",
    "CaptionEmoji",
    "Captions",
    "ContinualReber",
    "CopyMemory",
    "CycleNavigation",
    "DuplicateString",
    "Dyck1",
    "Dyck2",
    "EmbeddedReber",
    "EvenPairs",
    "FactQuestions",
    "Flickr8k",
    "FolkABC",
    "HubDataset",
    "InterfaceStrings",
    "JapaneseVowels",
    "LanguageStream",
    "ListOps",
    "Lorenz",
    "MNIST5k",
    "MackeyGlass",
    "MissingDuplicate",
    "ModularArithmetic",
    "MovieSentiment",
    "MovingDigits",
    "Multi30k",
    "Multiplication",
    "Narma10",
    "NumberWords",
    "OddsFirst",
    "ParallelText",
    "Parity",
    "ParityCheck",
    "PennTreebank",
    "PianoRoll",
    "PortugueseTags",
    "ReverseString",
    "SantaFeLaser",
    "SelectiveCopy",
    "SequenceDataModule",
    "SeriesCSV",
    "SeriesForecast",
    "Shakespeare",
    "Source",
    "SpeechCommands",
    "SpeechDigits",
    "SpeechPrompts",
    "SpikeTiming",
    "Splits",
    "StackManipulation",
    "TemporalOrder",
    "TextCSV",
    "TextClassification",
    "TextFile",
    "Translation",
    "TwoSequence",
    "UCRSeries",
    "WeatherNYC",
    "WeatherNYC24h",
    "WikiText2",
]
