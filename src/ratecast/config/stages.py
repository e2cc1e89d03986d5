"""A frozen dataclass for each stage of fitting; see `ratecast.config`."""

from dataclasses import dataclass
from typing import Literal

SplitBy = Literal["random", "user", "item", "time", "column"]
ClassWeights = Literal["none", "balanced"]

Optimise = Literal["rmse", "mae", "accuracy", "qwk"]
"""The metric that a single predicted rating is chosen for."""


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which column of the table holds what. A column that is not given is found by its name and content."""

    text_column: str | None = None
    """Column with the review's text."""
    rating_column: str | None = None
    """Column with the rating."""
    title_column: str | None = None
    """Column with the review's title or summary."""
    id_column: str | None = None
    """Column that names each review."""
    item_column: str | None = None
    """Column with the product, hotel or app."""
    user_column: str | None = None
    """Column with who wrote the review."""
    category_column: str | None = None
    """Column with the item's category."""
    time_column: str | None = None
    """Column with the time of writing."""
    split_column: str | None = None
    """Column that says "train", "validation" or "test" for each review."""
    use: str | None = None
    """Columns, besides title and text, that the model may use: names separated by commas, also user, item and category."""
    weight_column: str | None = None
    """Column with how much each review counts in training: numbers of 0 or more, 1 where empty. Never found by itself."""
    query: str | None = None
    """SQL query that gives the table, for a database file; needed where it has several tables."""
    scale: str | None = None
    """Rating scale: 1..5, 1..5/0.5, 0..100 or explicit levels such as 1,2,4,5. Inferred by default."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How reviews are divided into parts for training, validation and test. Equal and nearly equal texts stay together."""

    by: SplitBy | None = None
    """Divide at random (stratified by rating), by user or item (none on two sides), by time (test is the latest), by column. At
    random by default, unless a column says of every review whether it is for train, validation or test."""
    validation_fraction: float | None = None
    """Share of the reviews that training stops on and choices are made on. A tenth by default; of fewer than 1,000 more,
    up to a quarter: a handful cannot tell models apart."""
    test_fraction: float = 0.1
    """Share of the reviews that is used once, for the final table."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The pretrained language model and how reviews enter it."""

    backbone: str = "all-MiniLM-L6-v2"
    """Name on the Hugging Face hub, a local folder or a GGUF file (which needs ratecast[gguf]), of an encoder or a decoder. The
    default comes with ratecast[train] and needs no download."""
    pretrain: str | None = None
    """Time, such as 5m, to pretrain the backbone on the texts of the training reviews before fine-tuning; a part of the time
    budget. ratecast pretrain does the same with more reviews, that need no ratings."""
    pooling: Literal["mean", "first", "last"] | None = None
    """How token vectors become one review vector. By default mean for encoders such as BERT and last for decoders such as GPT,
    of whose tokens the last one alone has read the whole text."""
    pooled_layers: int = 1
    """How many top layers the review vector is made of. More than one helps where only the head is trained."""
    max_tokens: int | None = None
    """Longest input; of a longer review the beginning and the end are kept. Up to 256 by default, as the time allows."""
    windows: int = 1
    """Most windows of max_tokens that a longer review is read in: 8 of 128 read up to some 900 tokens, and only what is longer
    still loses its middle. Short reviews cost no more than without."""
    window_pooling: Literal["attention", "mean", "recurrent"] = "attention"
    """How windows become one review: attention (a mean with learnt weights), mean, or recurrent (the mean of windows that are
    read one after the other, a learnt summary of each standing before the next)."""
    overlap_fraction: float = 0.125
    """Share of a window that it has in common with the next one, at least."""
    head_fraction: float = 0.5
    """Share of the kept tokens that is taken from the beginning of a longer review."""
    trained_layers: int | None = None
    """How many top layers are trained: 0 trains the head only. All by default, or half of them where the time is short; the
    frozen layers are computed once."""
    train_embeddings: bool = False
    """Whether the token embeddings are trained too, which takes that all layers are."""
    head: str = "mixed"
    """Output head: softmax (a probability for each level); the same with labels that fade by distance (soft), with squared
    error (mixed), or with mistakes that cost more the farther they are (ordinal-log); corn or coral (level by level, whether
    the rating is higher); regression (squared error)."""
    dropout: float = 0.1
    """Dropout of the review's vector before the head; inside the backbone there is none."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop."""

    optimizer: Literal["adamw", "sgd", "adafactor"] = "adamw"
    """Rule by which weights are changed: adamw, sgd (with Nesterov's momentum) or adafactor. The latter two remember less: one
    number for each weight, and hardly any, in place of two."""
    learning_rate: float | None = None
    """Peak learning rate of the backbone, or of what is added to it; by default the optimizer's own (adamw 1e-4), and with tune
    the method's own."""
    head_learning_rate: float | None = None
    """Peak learning rate of the head; by default the optimizer's own (adamw 1e-3)."""
    epochs: float | None = None
    """Passes over the training reviews, at most. By default 3 over many reviews, up to 10 over few."""
    steps: int | None = None
    """Fixed number of steps in place of epochs; such a run is exactly repeatable and resumable."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the backbone computes in while training. auto takes bfloat16 on processors that multiply it much faster."""
    batch_reviews: int = 16
    """Reviews in a batch."""
    gradient_checkpointing: bool = False
    """Compute each layer again in the backward pass in place of keeping what it computed: less memory for about a third more
    time. The gradients are the same."""
    class_weights: ClassWeights = "none"
    """With balanced, all levels count the same in fine-tuning, however rare, so that it learns more of the rare ones. The
    probabilities are calibrated afterwards, on validation reviews as they are."""
    label_smoothing: float = 0.0
    """Share of each training label that is spread over all levels, for the heads with a softmax; against overconfidence."""
    warmup_fraction: float = 0.06
    """Share of the steps in which the learning rate rises; after them it falls."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warmup."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices only."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    evaluations_per_epoch: int = 2
    """How often the validation reviews are scored."""
    patience: int | None = None
    """Evaluations without improvement after which training stops. By default half of those planned, and at least 4."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints that --resume goes on from."""


@dataclass(frozen=True, kw_only=True)
class StrengthenConfig:
    """What makes fine-tuning hold better on new reviews. Off by default, but for a new topmost layer where reviews are few."""

    layer_decay: float = 1.0
    """Learning rate of each layer as a share of that of the layer above it; 1 gives all layers the same."""
    gradual_unfreezing: float = 0.0
    """Share of the training, such as 0.3, in which the layers join it one after another: it starts with the topmost, and the
    lowest joins last, the embeddings with it. 0 trains all from the start."""
    average_decay: float = 0.0
    """Keep a moving average of the weights in place of the weights: the share of it that each step leaves, such as 0.99."""
    dropout_samples: int = 1
    """Dropout masks that each batch's loss is the mean over."""
    r_drop: float = 0.0
    """Weight of the divergence between the predictions under two dropout masks (R-Drop), at the head, where the dropout is."""
    reinitialised_layers: int | None = None
    """Top layers of the backbone that start from random weights, because their pretrained ones fit another task too well. By
    default the topmost one where an encoder learns fewer than 2,000 reviews, else none."""
    adversarial: float = 0.0
    """Length of a step against the loss, on what enters the first trained layer; the batch is learnt after it too."""
    word_deletion: float = 0.0
    """Probability that a word of a training text is left out, drawn anew in each pass; words such as "not" always stay."""
    synonyms: float = 0.0
    """Probability that a word of a training text is replaced by one of its synonyms, drawn anew in each pass."""
    synonyms_file: str | None = None
    """Thesaurus for them in the MyThes format, such as Debian's mythes-en-us: /usr/share/mythes/th_en_US_v2.dat."""
    back_translation: str | None = None
    """Two translation models, there and back, separated by a comma: names on the Hugging Face hub or local folders, such as
    Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en. In each pass half of the training texts are read as they come back.
    Translating takes at most a fifth of the time; texts that it does not suffice for stay as they are."""
    ensemble: int = 1
    """Networks with seeds of their own that are fine-tuned first, and whose mean one more network learns from, beside the true
    ratings. Only that one is the model. They share the time; 1 trains the model alone."""

    @property
    def changes_texts(self) -> bool:
        """Whether training texts read otherwise in each pass, so that no layer can be computed once for all of them."""
        return bool(self.word_deletion or self.synonyms or self.back_translation)


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """What the model answers with."""

    optimise: Optimise = "rmse"
    """Metric that the predicted rating shall be best in: rmse gives the mean, mae the median, accuracy the most probable level,
    qwk levels cut at fitted thresholds. Predicting can ask for another one."""
    blend: bool = True
    """Whether linear models of the words and word vectors join the backbone where that helps on the validation reviews."""
    coverage: float = 0.9
    """Share of the ratings that prediction intervals shall hold. Predicting can ask for another one."""


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """Where the training's course is recorded besides the model folder."""

    tensorboard: bool = False
    """Write TensorBoard events to <out>.logs/."""
    wandb: bool = False
    """Log to Weights & Biases (WANDB_MODE=offline works without a network)."""
    run_name: str | None = None
    """Name of the run in Weights & Biases."""
