"""The rough look at languages."""

import pytest

from ratecast.data.language import detect_language, language_shares


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The battery is poor and it was not worth the price.", "English"),
        ("Der Akku ist schlecht und das Gerät war sehr teuer.", "German"),
        ("La batterie est mauvaise et je ne suis pas content.", "French"),
        ("La batería es mala y no me gusta, pero está bien.", "Spanish"),
        ("La batteria non è buona ma il prezzo sono soddisfatto.", "Italian"),
        ("A bateria não é boa, mas o preço foi muito bom para mim.", "Portuguese"),
        ("De batterij is niet goed maar het is ook erg goedkoop.", "Dutch"),
        ("Bateria jest słaba, ale cena bardzo dobra i nie żałuję.", "Polish"),
        ("Pil çok kötü ama fiyat için güzel bir ürün.", "Turkish"),
        ("电池不好价格也很贵。", "Chinese"),
        ("電池が悪いです。もう買いません。", "Japanese"),
        ("商品到着、品質最高です。", "Japanese"),
        ("배터리가 나빠요", "Korean"),
        ("Батарея плохая", "Cyrillic script"),
        ("הסוללה גרועה", "Hebrew"),
        ("البطارية سيئة", "Arabic script"),
        ("Excelente", "Latin script"),
        ("🎉🎉 5/5 !!!", None),
        ("", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert detect_language(text) == language


def test_shares() -> None:
    texts = ["The phone is good."] * 6 + ["电池不好"] * 2 + ["Excelente"] * 5 + [""]
    assert language_shares(texts) == {"English": 0.75, "Chinese": 0.25}
    assert language_shares(["Excelente", "👍"]) == {"Latin script": 1.0}
    assert language_shares(["", "👍"]) == {}


def test_a_sample_of_many_texts_is_spread_over_all_of_them() -> None:
    shares = language_shares(["The phone is good."] * 9000 + ["电池不好"] * 3000)
    assert shares["Chinese"] == pytest.approx(0.25, abs=0.01)
